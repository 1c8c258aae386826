//! The configurations of the pallets. Those of pallets that all runtimes have stand in `runtime/common/shared`.

pub mod consensus;
#[path = "../../common/shared/configs/gonka.rs"]
mod gonka;
#[path = "../../common/shared/configs/governance.rs"]
pub mod governance;
mod migrations;
#[path = "../../common/shared/configs/money.rs"]
pub mod money;
#[path = "../../common/shared/configs/parameters.rs"]
pub mod parameters;
#[path = "../../common/shared/configs/sessions.rs"]
mod sessions;
#[path = "../../common/shared/configs/system.rs"]
pub mod system;
