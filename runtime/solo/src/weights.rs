//! Measured dispatch weights, one module for each pallet. Written by `scripts/weights`; `configs` names them.
