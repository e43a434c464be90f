//! Names of GPUs.

use std::fmt;
use std::str::FromStr;

use crate::id::{BadId, parse_hex, to_hex};

/// The UUID of a GPU, as its driver gives it: the same in every process, whatever it may see of the machine, which the
/// device's number is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceUuid(pub [u8; 16]);

/// What the vendor's tools put in front.
const PREFIX: &str = "GPU-";

impl fmt::Display for DeviceUuid {
    /// As the vendor's tools write it: `GPU-` and the 8-4-4-4-12 form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", std::str::from_utf8(&to_hex(&self.0)).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for DeviceUuid {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let digits = text.strip_prefix(PREFIX).unwrap_or(text);
        parse_hex(digits).map(Self).ok_or_else(|| BadId::Text(text.to_owned()))
    }
}

impl TryFrom<&[u8]> for DeviceUuid {
    type Error = BadId;

    fn try_from(bytes: &[u8]) -> Result<Self, BadId> {
        bytes.try_into().map(Self).map_err(|_| BadId::Length(bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_written_as_the_vendors_tools_write_it() {
        let text = "GPU-01020304-0506-0708-090a-0b0c0d0e0f10";
        let device: DeviceUuid = text.parse().unwrap();
        assert_eq!((device.0[0], device.0[15], device.to_string().as_str()), (1, 16, text));
        assert_eq!(text.trim_start_matches("GPU-").parse(), Ok(device));
        assert!("GPU-0".parse::<DeviceUuid>().is_err() && DeviceUuid::try_from(&[0u8; 3][..]).is_err());
    }
}
