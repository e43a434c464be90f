//! The driver and its cards.

#![allow(unsafe_code, reason = "calls a C library")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use payload_manager_types::DeviceUuid;

use super::error::{DeviceError, LoadError};
use super::symbols::{Opaque, Symbols};
use super::{LIBRARY, LIBRARY_ENV};

/// `CU_DEVICE_ATTRIBUTE_…`.
const VIRTUAL_MEMORY: c_int = 102;
const PASSES_DESCRIPTORS: c_int = 103;

/// `CU_STREAM_NON_BLOCKING`: it does not wait for the stream that everybody uses by default.
const NON_BLOCKING: u32 = 1;

/// A driver that answers. Clones speak of the same one; its library stays loaded while there is one.
#[derive(Clone)]
pub struct Driver(Arc<Inner>);

struct Inner {
    symbols: Symbols,
    /// The process that started it: CUDA does not live through a fork.
    process: u32,
    cards: Vec<Card>,
}

/// What is known of a card without touching it.
#[derive(Debug, Clone)]
struct Card {
    device: c_int,
    uuid: DeviceUuid,
    name: String,
    bytes: u64,
    passes: bool,
}

impl Driver {
    /// Loads and starts the driver in this library: a path, or a name to be looked for as the system does.
    ///
    /// # Errors
    /// [`LoadError`]: no such library, calls that it lacks, or why it does not start. Nothing panics.
    pub fn load(library: &Path) -> Result<Self, LoadError> {
        let symbols = Symbols::load(library)?;
        let mut inner = Inner { symbols, process: std::process::id(), cards: Vec::new() };
        let s = &inner.symbols;
        // SAFETY: takes a number.
        inner.check("cuInit", unsafe { (s.init)(0) })?;
        let mut count = 0;
        // SAFETY: writes one number.
        inner.check("cuDeviceGetCount", unsafe { (s.device_count)(&raw mut count) })?;
        inner.cards = (0..count).map(|ordinal| inner.card(ordinal)).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(inner)))
    }

    /// The driver of this process, loaded the first time: that of [`LIBRARY_ENV`], or [`LIBRARY`].
    ///
    /// # Errors
    /// As [`Self::load`]; it is not tried again.
    pub fn shared() -> Result<&'static Self, LoadError> {
        static SHARED: OnceLock<Result<Driver, LoadError>> = OnceLock::new();
        let library = || std::env::var_os(LIBRARY_ENV).map_or_else(|| PathBuf::from(LIBRARY), PathBuf::from);
        SHARED.get_or_init(|| Self::load(&library())).as_ref().map_err(Clone::clone)
    }

    /// The newest version of CUDA that it supports: 12040 is 12.4.
    ///
    /// # Errors
    /// As the driver says.
    pub fn version(&self) -> Result<i32, DeviceError> {
        let mut version = 0;
        // SAFETY: writes one number.
        self.0.check("cuDriverGetVersion", unsafe { (self.0.symbols.driver_version)(&raw mut version) })?;
        Ok(version)
    }

    /// Waits until a CUDA event has been reached, in a thread that has a context: work before it that failed shows here.
    ///
    /// # Errors
    /// As the driver says.
    ///
    /// # Safety
    /// `event` is a `CUevent` (or a `cudaEvent_t`, which is one) of this process, and not destroyed meanwhile.
    pub unsafe fn wait_for_event(&self, event: *mut c_void) -> Result<(), DeviceError> {
        // SAFETY: as the caller promises.
        self.0.check("cuEventSynchronize", unsafe { (self.0.symbols.event_synchronize)(event) })
    }

    /// The cards that this process may see, in the driver's order.
    #[must_use]
    pub fn uuids(&self) -> Vec<DeviceUuid> {
        self.0.cards.iter().map(|card| card.uuid).collect()
    }

    /// Takes a card into use: its primary context is made, or joined if the process has it, and kept while the answer or a
    /// clone of it lives. `None`: there is no such card, or this process may not see it.
    ///
    /// # Errors
    /// As the driver says.
    pub fn device(&self, uuid: DeviceUuid) -> Result<Option<Device>, DeviceError> {
        let Some(card) = self.0.cards.iter().find(|card| card.uuid == uuid) else { return Ok(None) };
        let mut context = null_mut();
        let s = &self.0.symbols;
        // SAFETY: writes one pointer; the card is one that the driver named.
        let retained = unsafe { (s.context_retain)(&raw mut context, card.device) };
        self.0.check("cuDevicePrimaryCtxRetain", retained)?;
        let (driver, card) = (self.clone(), card.clone());
        Ok(Some(Device(Arc::new(Held { driver, card, context: Context(context), streams: Mutex::default() }))))
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Driver").field(&self.0.cards).finish()
    }
}

impl Inner {
    fn check(&self, call: &'static str, code: c_int) -> Result<(), DeviceError> {
        if code == 0 { Ok(()) } else { Err(DeviceError { call, code, name: self.name_of(code) }) }
    }

    /// What the driver calls an error.
    fn name_of(&self, code: c_int) -> String {
        let mut name: *const c_char = std::ptr::null();
        // SAFETY: writes one pointer: to a text that lives as long as the library, or null.
        let told = unsafe { (self.symbols.error_name)(code, &raw mut name) };
        if told != 0 || name.is_null() {
            return "an error without a name".to_owned();
        }
        // SAFETY: such a text ends with a zero.
        unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
    }

    fn card(&self, ordinal: c_int) -> Result<Card, DeviceError> {
        let s = &self.symbols;
        let (mut device, mut uuid, mut bytes, mut name) = (0, [0; 16], 0, [0 as c_char; 256]);
        // SAFETY: each writes what its type says, no more than that; the name's length is told.
        unsafe {
            self.check("cuDeviceGet", (s.device_get)(&raw mut device, ordinal))?;
            self.check("cuDeviceGetUuid", (s.device_uuid)(&raw mut uuid, device))?;
            self.check("cuDeviceTotalMem", (s.device_total)(&raw mut bytes, device))?;
            self.check("cuDeviceGetName", (s.device_name)(name.as_mut_ptr(), 255, device))?;
        }
        let attribute = |which| {
            let mut value = 0;
            // SAFETY: writes one number.
            let told = unsafe { (s.device_attribute)(&raw mut value, which, device) };
            told == 0 && value != 0
        };
        #[expect(clippy::cast_sign_loss, reason = "a character's bits are meant")]
        let name: Vec<u8> = name.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
        Ok(Card {
            device,
            uuid: DeviceUuid(uuid),
            name: String::from_utf8_lossy(&name).into_owned(),
            bytes: bytes as u64,
            passes: attribute(VIRTUAL_MEMORY) && attribute(PASSES_DESCRIPTORS),
        })
    }
}

/// A card in use. Clones speak of the same one.
#[derive(Clone)]
pub struct Device(pub(super) Arc<Held>);

pub(super) struct Held {
    driver: Driver,
    card: Card,
    context: Context,
    /// Streams that no copy is in.
    streams: Mutex<Vec<Context>>,
}

/// A pointer of the driver's: only handed back to it, from any thread.
#[derive(Clone, Copy)]
pub(super) struct Context(pub(super) Opaque);

// SAFETY: the driver API may be called from any thread with the contexts and streams of any other.
unsafe impl Send for Context {}
// SAFETY: as above; the pointer itself is never followed.
unsafe impl Sync for Context {}

impl Device {
    /// Its name for good.
    #[must_use]
    pub fn uuid(&self) -> DeviceUuid {
        self.0.card.uuid
    }

    /// Its number in this process.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        u32::try_from(self.0.card.device).unwrap_or(0)
    }

    /// What its maker calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.card.name
    }

    /// All of its memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.card.bytes
    }

    /// Whether memory there can be handed to another process as a descriptor.
    #[must_use]
    pub fn passes_descriptors(&self) -> bool {
        self.0.card.passes
    }

    /// Bytes of it that nobody has.
    ///
    /// # Errors
    /// As the driver says: of a lost card, too.
    pub fn free_bytes(&self) -> Result<u64, DeviceError> {
        let (mut free, mut total) = (0, 0);
        self.within(|s| {
            // SAFETY: writes two numbers.
            self.check("cuMemGetInfo", unsafe { (s.memory_info)(&raw mut free, &raw mut total) })
        })?;
        Ok(free as u64)
    }

    pub(super) fn number(&self) -> c_int {
        self.0.card.device
    }

    pub(super) fn symbols(&self) -> &Symbols {
        &self.0.driver.0.symbols
    }

    pub(super) fn check(&self, call: &'static str, code: c_int) -> Result<(), DeviceError> {
        self.0.driver.0.check(call, code)
    }

    /// Whether this process started the driver.
    pub(super) fn is_ours(&self) -> bool {
        self.0.driver.0.process == std::process::id()
    }

    /// Calls in the card's context; the thread's own comes back afterwards.
    pub(super) fn within<T>(&self, work: impl FnOnce(&Symbols) -> Result<T, DeviceError>) -> Result<T, DeviceError> {
        const CALL: &str = "cuCtxPushCurrent";
        if !self.is_ours() {
            return Err(DeviceError::invalid(CALL, "this process was forked from the one that uses the card".into()));
        }
        let s = self.symbols();
        // SAFETY: the context is kept while this value lives.
        self.check(CALL, unsafe { (s.context_push)(self.0.context.0) })?;
        let done = work(s);
        let mut popped = null_mut();
        // SAFETY: writes one pointer.
        let restored = self.check("cuCtxPopCurrent", unsafe { (s.context_pop)(&raw mut popped) });
        done.and_then(|done| restored.map(|()| done))
    }

    /// Does it on a stream that nobody else is on meanwhile, and waits for it.
    pub(super) fn on_a_stream(
        &self,
        work: impl FnOnce(&Symbols, Opaque) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        self.within(|s| {
            let idle = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let stream = match idle {
                Some(stream) => stream,
                None => {
                    let mut made = null_mut();
                    // SAFETY: writes one pointer.
                    let code = unsafe { (s.stream_create)(&raw mut made, NON_BLOCKING) };
                    self.check("cuStreamCreate", code)?;
                    Context(made)
                }
            };
            let begun = work(s, stream.0);
            // Also if it failed: nothing may still be at the caller's bytes.
            // SAFETY: the stream is one of this context's, and there.
            let ended = self.check("cuStreamSynchronize", unsafe { (s.stream_synchronize)(stream.0) });
            self.0.streams.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
            begun.and(ended)
        })
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Device").field(&self.0.card).finish()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let inner = &self.driver.0;
        if inner.process != std::process::id() {
            return;
        }
        let s = &inner.symbols;
        let streams = std::mem::take(self.streams.get_mut().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: the context is retained until the last line, and these streams are its own and idle. What the driver
        // answers changes nothing: this is the end of them.
        unsafe {
            if (s.context_push)(self.context.0) == 0 {
                for stream in streams {
                    (s.stream_destroy)(stream.0);
                }
                (s.context_pop)(&raw mut self.context.0);
            }
            (s.context_release)(self.card.device);
        }
    }
}
