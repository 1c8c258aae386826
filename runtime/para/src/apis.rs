//! The runtime APIs. Those of Aura, of collators and of the relay chain are this chain's own.

#[macro_use]
#[path = "../../common/shared/apis.rs"]
mod shared;

use crate::{
	configs::consensus::{BLOCKS_PER_SLOT, ConsensusHook, RELAY_PARENT_OFFSET, SLOT_MS},
	*,
};
use cumulus_primitives_core::{CollationInfo, ParaId, RelayProofRequest};
use sp_consensus_aura::{Slot, SlotDuration, sr25519::AuthorityId as AuraId};

implement_apis! {
	impl sp_consensus_aura::AuraApi<Block, AuraId> for Runtime {
		fn slot_duration() -> SlotDuration {
			SlotDuration::from_millis(SLOT_MS)
		}
		fn authorities() -> Vec<AuraId> {
			pallet_aura::Authorities::<Runtime>::get().into_inner()
		}
	}

	impl cumulus_primitives_aura::AuraUnincludedSegmentApi<Block> for Runtime {
		fn can_build_upon(included_hash: Hash, slot: Slot) -> bool {
			// The hook alone allows one block more in a slot.
			let is_new = BLOCKS_PER_SLOT > 1 || slot > pallet_aura::CurrentSlot::<Runtime>::get();
			is_new && ConsensusHook::can_build_upon(included_hash, slot)
		}
	}

	impl cumulus_primitives_core::CollectCollationInfo<Block> for Runtime {
		fn collect_collation_info(header: &Header) -> CollationInfo {
			ParachainSystem::collect_collation_info(header)
		}
	}

	impl cumulus_primitives_core::GetParachainInfo<Block> for Runtime {
		fn parachain_id() -> ParaId {
			ParachainInfo::parachain_id()
		}
	}

	impl cumulus_primitives_core::RelayParentOffsetApi<Block> for Runtime {
		fn relay_parent_offset() -> u32 {
			RELAY_PARENT_OFFSET
		}
		fn max_claim_queue_offset() -> u8 {
			ParachainSystem::max_claim_queue_offset()
		}
	}

	impl cumulus_primitives_core::TargetBlockRate<Block> for Runtime {
		fn target_block_rate() -> u32 {
			BLOCKS_PER_SLOT
		}
	}

	impl cumulus_primitives_core::KeyToIncludeInRelayProof<Block> for Runtime {
		fn keys_to_prove() -> RelayProofRequest {
			Default::default()
		}
	}
}
