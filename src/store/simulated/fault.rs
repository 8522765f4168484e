//! What a disk is asked for, and what of it fails.

use rustix::io::Errno;

/// What can be asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Op {
    OpenFolder,
    MakeFolder,
    Create,
    /// Without a name.
    CreateUnnamed,
    /// Gives one.
    GiveName,
    Open,
    Entry,
    Rename,
    Remove,
    SyncFolder,
    FreeSpace,
    Length,
    Inode,
    Allocate,
    SetLength,
    Read,
    Write,
    Map,
    /// A write through a map: a page of it is gone.
    Page,
    Sync,
    DropCache,
    SetMode,
    Lock,
}

impl Op {
    pub(crate) const ALL: [Self; 23] = [
        Self::OpenFolder,
        Self::MakeFolder,
        Self::Create,
        Self::CreateUnnamed,
        Self::GiveName,
        Self::Open,
        Self::Entry,
        Self::Rename,
        Self::Remove,
        Self::SyncFolder,
        Self::FreeSpace,
        Self::Length,
        Self::Inode,
        Self::Allocate,
        Self::SetLength,
        Self::Read,
        Self::Write,
        Self::Map,
        Self::Page,
        Self::Sync,
        Self::DropCache,
        Self::SetMode,
        Self::Lock,
    ];

    /// Whether it makes a difference to what is on the disk, now or after a power cut.
    pub(super) fn changes(self) -> bool {
        matches!(
            self,
            Self::MakeFolder
                | Self::Create
                | Self::CreateUnnamed
                | Self::GiveName
                | Self::Rename
                | Self::Remove
                | Self::SyncFolder
                | Self::Allocate
                | Self::SetLength
                | Self::Write
                | Self::Map
                | Self::Sync
        )
    }
}

/// Operations of one kind that fail: those from number `from` to before number `to`, counted from 0 and from now on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskFault {
    pub(crate) op: Op,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) errno: Errno,
    /// Only where it is asked of the file that has this name.
    pub(crate) file: Option<&'static str>,
}

impl DiskFault {
    pub(crate) fn nth(op: Op, number: u64, errno: Errno) -> Self {
        Self { op, from: number, to: number + 1, errno, file: None }
    }

    pub(crate) fn always(op: Op, errno: Errno) -> Self {
        Self { op, from: 0, to: u64::MAX, errno, file: None }
    }

    /// The file system does not know the operation.
    pub(crate) fn unsupported(op: Op) -> Self {
        Self::always(op, Errno::NOSYS)
    }
}
