//! A tier with what a test needs around it: a producer that writes in place, a bad disk, a look at what is left. Each
//! cleans up after itself when it is dropped, also when the test failed.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use payload_manager_types::{PayloadId, Tier};

use super::new_id;
use crate::faulty::Verdict;
use crate::object::Address;
use crate::{
    DiskOptions, DiskTier, Faulty, HeapTier, MemoryGauge, ObjectOptions, ObjectTier, RamTier, TierStore, Unlimited,
};

/// What the suite needs of a tier under test.
pub(crate) trait Rig: Sync {
    fn store(&self) -> &dyn TierStore;
    /// The file that is the copy; `None` where there is none by nature.
    fn path(&self, id: PayloadId) -> Option<PathBuf>;
    /// Everything that lies in the tier.
    fn leftovers(&self) -> Vec<String>;
    /// What lies beside the bytes.
    fn archive(&self, id: PayloadId) -> Option<Vec<u8>>;

    fn bytes(&self, id: PayloadId) -> Option<Vec<u8>> {
        fs::read(self.path(id)?).ok()
    }
    /// Does as a producer with a descriptor of its own.
    fn write(&self, id: PayloadId, bytes: &[u8]) {
        self.writable(id).write_all_at(bytes, 0).unwrap();
    }
    fn resize(&self, id: PayloadId, size: usize) {
        self.writable(id).set_len(size as u64).unwrap();
    }
    fn flip(&self, id: PayloadId, at: usize) {
        let mut byte = [0];
        let file = self.writable(id);
        file.read_exact_at(&mut byte, at as u64).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at as u64).unwrap();
    }
    /// Permission bits, where there are any.
    fn mode(&self, id: PayloadId) -> Option<u32> {
        self.path(id).map(|path| fs::metadata(path).unwrap().permissions().mode() & 0o7777)
    }
    /// A descriptor as a producer got it before the copy was sealed, whoever runs the tests.
    fn writable(&self, id: PayloadId) -> File {
        let path = self.path(id).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        fs::set_permissions(&path, mode).unwrap();
        file
    }
}

/// The reference, as a durable tier.
pub(crate) struct HeapRig(HeapTier);

impl HeapRig {
    pub(crate) fn new() -> Self {
        Self(HeapTier::new(Tier::Disk, 1 << 30))
    }
}

impl Rig for HeapRig {
    fn store(&self) -> &dyn TierStore {
        &self.0
    }
    fn path(&self, _: PayloadId) -> Option<PathBuf> {
        None
    }
    fn leftovers(&self) -> Vec<String> {
        (self.0.used() > 0).then(|| format!("{} bytes", self.0.used())).into_iter().collect()
    }
    fn archive(&self, id: PayloadId) -> Option<Vec<u8>> {
        self.0.archive(id)
    }
    fn bytes(&self, id: PayloadId) -> Option<Vec<u8>> {
        let mut bytes = None;
        self.0.tamper(id, |copy| bytes = Some(copy.clone()));
        bytes
    }
    fn write(&self, id: PayloadId, bytes: &[u8]) {
        self.0.write(id, bytes);
    }
    fn resize(&self, id: PayloadId, size: usize) {
        self.0.tamper(id, |copy| copy.resize(size, 0));
    }
    fn flip(&self, id: PayloadId, at: usize) {
        self.0.tamper(id, |copy| copy[at] ^= 1);
    }
}

/// RAM under a prefix that nobody else has.
pub(crate) struct RamRig {
    pub(crate) tier: RamTier,
    prefix: String,
}

impl RamRig {
    pub(crate) fn new() -> Self {
        Self::with(Arc::new(Unlimited))
    }

    pub(crate) fn with(gauge: Arc<dyn MemoryGauge>) -> Self {
        let prefix = format!("pmtest{}", new_id());
        Self { tier: RamTier::new(prefix.clone(), gauge), prefix }
    }

    fn objects(&self) -> Vec<PathBuf> {
        let all = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&self.prefix)).collect()
    }
}

impl Rig for RamRig {
    fn store(&self) -> &dyn TierStore {
        &self.tier
    }
    fn path(&self, id: PayloadId) -> Option<PathBuf> {
        Some(Path::new("/dev/shm").join(self.tier.name(id).trim_start_matches('/')))
    }
    fn leftovers(&self) -> Vec<String> {
        self.objects().iter().map(|path| path.display().to_string()).collect()
    }
    fn archive(&self, _: PayloadId) -> Option<Vec<u8>> {
        None
    }
}

impl Drop for RamRig {
    fn drop(&mut self) {
        self.objects().iter().for_each(|path| fs::remove_file(path).unwrap());
    }
}

/// DISK in a folder of its own.
pub(crate) struct DiskRig {
    pub(crate) tier: DiskTier,
    folder: tempfile::TempDir,
}

impl DiskRig {
    pub(crate) fn with(direct_io_min: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tier = DiskTier::open(&folder.path().join("payloads"), DiskOptions { direct_io_min }).unwrap();
        Self { tier, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Rig for DiskRig {
    fn store(&self) -> &dyn TierStore {
        &self.tier
    }
    fn path(&self, id: PayloadId) -> Option<PathBuf> {
        Some(self.tier.path(id))
    }
    fn leftovers(&self) -> Vec<String> {
        self.tier.survey().unwrap().iter().map(|found| format!("{found:?}")).collect()
    }
    fn archive(&self, id: PayloadId) -> Option<Vec<u8>> {
        self.tier.archive(id).unwrap()
    }
}

/// DISK behind a wrapper that lets everything pass.
pub(crate) struct WrappedRig {
    disk: DiskRig,
    wrapper: Faulty,
}

impl WrappedRig {
    pub(crate) fn new() -> Self {
        let disk = DiskRig::with(1 << 20);
        let wrapper = Faulty::new(Arc::new(disk.tier.clone()), |_, _| Verdict::Pass);
        Self { disk, wrapper }
    }
}

impl Rig for WrappedRig {
    fn store(&self) -> &dyn TierStore {
        &self.wrapper
    }
    fn path(&self, id: PayloadId) -> Option<PathBuf> {
        self.disk.path(id)
    }
    fn leftovers(&self) -> Vec<String> {
        self.disk.leftovers()
    }
    fn archive(&self, id: PayloadId) -> Option<Vec<u8>> {
        self.disk.archive(id)
    }
}

/// OBJECT, with a producer that uploads whole objects, as v1 clients do.
pub(crate) struct ObjectRig {
    pub(crate) tier: ObjectTier,
}

impl ObjectRig {
    pub(crate) fn at(uri: &str, options: ObjectOptions) -> Self {
        Self { tier: ObjectTier::open(Address::parse(uri).unwrap(), options).unwrap() }
    }
}

impl Rig for ObjectRig {
    fn store(&self) -> &dyn TierStore {
        &self.tier
    }
    fn path(&self, _: PayloadId) -> Option<PathBuf> {
        None
    }
    fn leftovers(&self) -> Vec<String> {
        self.tier.survey().map(|found| format!("{:?}", found.unwrap())).collect()
    }
    fn archive(&self, id: PayloadId) -> Option<Vec<u8>> {
        self.tier.archive(id).unwrap()
    }
    fn bytes(&self, id: PayloadId) -> Option<Vec<u8>> {
        self.tier.uploaded(id)
    }
    fn write(&self, id: PayloadId, bytes: &[u8]) {
        self.tier.upload(id, bytes.to_vec());
    }
    fn resize(&self, id: PayloadId, size: usize) {
        let mut bytes = self.bytes(id).unwrap_or_default();
        bytes.resize(size, 0);
        self.tier.upload(id, bytes);
    }
    fn flip(&self, id: PayloadId, at: usize) {
        let mut bytes = self.bytes(id).unwrap();
        bytes[at] ^= 1;
        self.tier.upload(id, bytes);
    }
}

/// OBJECT in a folder of its own.
pub(crate) struct FolderRig {
    pub(crate) object: ObjectRig,
    folder: tempfile::TempDir,
}

impl FolderRig {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pm-object-").tempdir().unwrap();
        let uri = format!("file://{}/objects", folder.path().display());
        Self { object: ObjectRig::at(&uri, ObjectOptions::default()), folder }
    }

    /// One that packs what shrinks.
    pub(crate) fn packed() -> Self {
        let rig = Self::new();
        Self { object: Self::beside(&rig, ObjectOptions { pack: true, ..ObjectOptions::default() }), ..rig }
    }

    /// The same folder, used otherwise.
    pub(crate) fn beside(other: &Self, options: ObjectOptions) -> ObjectRig {
        ObjectRig::at(&format!("file://{}", other.folder().display()), options)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().join("objects")
    }
}

impl Rig for FolderRig {
    fn store(&self) -> &dyn TierStore {
        self.object.store()
    }
    fn path(&self, _: PayloadId) -> Option<PathBuf> {
        None
    }
    /// Every file, so that what no listing shows is found too.
    fn leftovers(&self) -> Vec<String> {
        let all = fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap());
        let files = all.filter(|entry| entry.file_type().unwrap().is_file());
        files.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }
    fn archive(&self, id: PayloadId) -> Option<Vec<u8>> {
        self.object.archive(id)
    }
    fn bytes(&self, id: PayloadId) -> Option<Vec<u8>> {
        self.object.bytes(id)
    }
    fn write(&self, id: PayloadId, bytes: &[u8]) {
        self.object.write(id, bytes);
    }
    fn resize(&self, id: PayloadId, size: usize) {
        self.object.resize(id, size);
    }
    fn flip(&self, id: PayloadId, at: usize) {
        self.object.flip(id, at);
    }
}
