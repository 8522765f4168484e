//! The requests of the kernel, answered by a [`Memory`].

use std::ffi::OsStr;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

use super::memory::{Lack, Memory, Op, State};

/// Nobody else changes anything, so the kernel may keep what it knows.
const TTL: Duration = Duration::from_secs(60);
const BLOCK: u32 = 4096;
const FAT_LONGEST: u64 = (4 << 30) - 1;
const ROOM: u64 = (1 << 40) / BLOCK as u64;

/// A [`Memory`], as FUSE wants it: one folder of files.
pub struct Served(pub Memory);

fn attributes(state: &State, number: u64) -> Result<FileAttr, Errno> {
    let (kind, perm, size) = match state.files.get(&number) {
        _ if number == 1 => (FileType::Directory, 0o755, 0),
        Some(file) => (FileType::RegularFile, file.mode, file.bytes.len() as u64),
        None => return Err(Errno::ENOENT),
    };
    let links = state.names.values().filter(|named| **named == number).count();
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: u32::try_from(links).expect("few names"),
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("files here are small")
}

fn mode(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).expect("twelve bits")
}

impl Served {
    fn open_flags(&self) -> FopenFlags {
        if self.0.state().lacks(Lack::Maps) {
            FopenFlags::FOPEN_DIRECT_IO
        } else {
            FopenFlags::FOPEN_KEEP_CACHE
        }
    }

    /// Does what changes something.
    fn change<T>(&self, op: Op, change: impl FnOnce(&mut State) -> Result<T, Errno>) -> Result<T, Errno> {
        self.0.state().change(op, change)
    }
}

fn answer(done: Result<(), Errno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        if self.0.state().lacks(Lack::Locks) {
            // The kernel would lock by itself; so it asks, and gets no answer.
            config.add_capabilities(InitFlags::FUSE_FLOCK_LOCKS).expect("the kernel asks for locks");
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.0.state();
        let number = state.names.get(name).copied().filter(|_| !state.is_cut).ok_or(Errno::ENOENT);
        match number.and_then(|number| attributes(&state, number)) {
            Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _: &Request, file: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match attributes(&self.0.state(), file.0) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        file: INodeNo,
        new_mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = self.change(Op::Set, |state| {
            if let Some(size) = size {
                if size > FAT_LONGEST && state.lacks(Lack::LongFiles) {
                    return Err(Errno::EFBIG);
                }
                state.file(file.0)?.set_len(small(size));
            }
            if let Some(new) = new_mode {
                if state.lacks(Lack::Modes) {
                    return Err(Errno::EPERM);
                }
                state.file(file.0)?.mode = mode(new);
            }
            attributes(state, file.0)
        });
        match done {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        new_mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let flags = self.open_flags();
        let made = self.change(Op::Create, |state| {
            let number = state.create(name, mode(new_mode & !umask));
            attributes(state, number)
        });
        match made {
            Ok(attributes) => reply.created(&TTL, &attributes, Generation(0), FileHandle(0), flags),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), self.open_flags());
    }

    fn read(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.0.state().file(file.0) {
            Ok(file) => {
                let start = small(offset).min(file.bytes.len());
                let end = (start + small(size.into())).min(file.bytes.len());
                reply.data(&file.bytes[start..end]);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.change(Op::Write, |state| state.file(file.0).map(|file| file.write(small(offset), data))) {
            Ok(()) => reply.written(u32::try_from(data.len()).expect("one request")),
            Err(errno) => reply.error(errno),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        let done = self.change(Op::Allocate, |state| {
            if state.lacks(Lack::Reserving) {
                return Err(Errno::ENOSYS);
            }
            let file = state.file(file.0)?;
            file.set_len(small(offset + length).max(file.bytes.len()));
            Ok(())
        });
        answer(done, reply);
    }

    fn fsync(&self, _: &Request, file: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.0.answer(Op::Sync, move |state| {
            let sync = |state: &mut State| state.file(file.0).map(super::memory::File::sync);
            answer(state.change(Op::Sync, sync), reply);
        });
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.0.answer(Op::SyncFolder, move |state| {
            let sync = |state: &mut State| {
                state.sync_names();
                Ok(())
            };
            answer(state.change(Op::SyncFolder, sync), reply);
        });
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        from: &OsStr,
        _: INodeNo,
        to: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let done = self.change(Op::Rename, |state| {
            if !flags.is_empty() && state.lacks(Lack::RenameFlags) {
                return Err(Errno::EINVAL);
            }
            if flags.contains(RenameFlags::RENAME_NOREPLACE) && state.names.contains_key(to) {
                return Err(Errno::EEXIST);
            }
            let number = state.names.get(from).copied().ok_or(Errno::ENOENT)?;
            state.name(vec![(from.to_owned(), None), (to.to_owned(), Some(number))]);
            Ok(())
        });
        answer(done, reply);
    }

    fn link(&self, _: &Request, file: INodeNo, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let done = self.change(Op::Link, |state| {
            if state.lacks(Lack::Links) {
                return Err(Errno::EPERM);
            }
            if state.names.contains_key(name) {
                return Err(Errno::EEXIST);
            }
            state.name(vec![(name.to_owned(), Some(file.0))]);
            attributes(state, file.0)
        });
        match done {
            Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.change(Op::Unlink, |state| {
            state.name(vec![(name.to_owned(), None)]);
            Ok(())
        });
        answer(done, reply);
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.0.state();
        for ((name, number), index) in state.names.iter().zip(1..).skip(small(offset)) {
            if reply.add(INodeNo(*number), index, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let room = if self.0.state().lacks(Lack::Room) { 0 } else { ROOM };
        reply.statfs(room, room, room, 0, 0, BLOCK, 255, BLOCK);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}
