//! Devices on which libtorch computes.

use tch::Device;

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
	/// The name is not one of a device.
	#[error("no device is called {0}: give cpu, or cuda:0, cuda:1 …")]
	Unknown(String),
	/// libtorch does not see the device.
	#[error("there is no {name}: libtorch sees {count} CUDA devices; compare nvidia-smi, or take the cpu")]
	Missing {
		/// The device's name.
		name: String,
		/// Number of CUDA devices that libtorch sees.
		count: i64,
	},
	/// The CUDA part of libtorch cannot be loaded.
	#[error("cannot load libtorch_cuda.so: put a libtorch with CUDA on LD_LIBRARY_PATH, or take the cpu")]
	NoCuda,
}

/// Returns the device of a name: `cpu`, or `cuda:` and a number.
pub fn torch_device(name: &str) -> Result<Device, DeviceError> {
	if name == "cpu" {
		return Ok(Device::Cpu);
	}
	let number = match name.strip_prefix("cuda") {
		Some("") => Some(0),
		Some(rest) => rest.strip_prefix(':').and_then(|number| number.parse::<usize>().ok()),
		None => None,
	};
	let number = number.ok_or_else(|| DeviceError::Unknown(name.into()))?;
	load_cuda()?;
	let count = tch::Cuda::device_count();
	if (number as i64) < count {
		return Ok(Device::Cuda(number));
	}
	Err(DeviceError::Missing { name: name.into(), count })
}

/// Loads the CUDA part of libtorch. It is loaded on demand, so that one binary runs on hosts without CUDA, too.
fn load_cuda() -> Result<(), DeviceError> {
	// SAFETY: a C string; libtorch's initialisers register its CUDA kernels and nothing else.
	let loaded = unsafe { libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
	if loaded.is_null() {
		return Err(DeviceError::NoCuda);
	}
	Ok(())
}
