//! The chain as a worker sees it.

use super::*;

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T>> {
	async { Ok(value) }.boxed()
}

impl ChainApi for FakeChain {
	fn genesis(&self) -> Hash {
		GENESIS
	}
	fn best_blocks(&self) -> BoxFuture<'_, BoxStream<'static, BlockNumber>> {
		let mut blocks = self.blocks.subscribe();
		blocks.mark_changed();
		let next = |mut blocks: watch::Receiver<BlockNumber>| async {
			blocks.changed().await.ok()?;
			let block = *blocks.borrow_and_update();
			Some((block, blocks))
		};
		async move { stream::unfold(blocks, next).boxed() }.boxed()
	}
	fn epoch(&self) -> BoxFuture<'_, Result<EpochView>> {
		ready(self.with(|state| state.epoch.clone()))
	}
	fn required(&self) -> BoxFuture<'_, Result<RequiredVersion>> {
		ready(self.with(|state| state.required))
	}
	fn market(&self) -> BoxFuture<'_, Result<MarketView>> {
		ready(self.with(|state| state.market.clone()))
	}
	fn models(&self) -> BoxFuture<'_, Result<Vec<ModelView>>> {
		ready(self.with(|state| state.models.clone()))
	}
	fn hosts(&self) -> BoxFuture<'_, Result<Vec<HostView>>> {
		ready(self.with(|state| {
			state.reads.hosts += 1;
			state.host.iter().chain(&state.others).cloned().collect()
		}))
	}
	fn host<'a>(&'a self, account: &'a AccountId) -> BoxFuture<'a, Result<Option<HostView>>> {
		ready(self.with(|state| {
			if *account == host() {
				return state.host.clone();
			}
			state.look_ups += 1;
			state.others.iter().find(|other| other.account == *account).cloned()
		}))
	}
	fn commitments<'a>(
		&'a self,
		epoch: EpochIndex,
		host: &'a AccountId,
	) -> BoxFuture<'a, Result<Vec<(u8, Commitment)>>> {
		ready(self.with(|state| {
			let all = state.commitments.iter().chain(&state.others_commitments);
			let made = all.filter(|made| made.host == *host && made.epoch == epoch);
			made.map(|made| (made.segment, made.commitment)).collect()
		}))
	}
	fn check<'a>(&'a self, _: &'a AccountId) -> BoxFuture<'a, Result<Option<CheckView>>> {
		ready(self.with(|state| {
			state.reads.duties += 1;
			state.check.clone()
		}))
	}
	fn claims(&self) -> BoxFuture<'_, Result<Vec<ClaimView>>> {
		ready(self.with(|state| {
			state.reads.claims += 1;
			state.claims.clone()
		}))
	}
	fn opening_requests<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<RequestView>>> {
		ready(self.with(|state| {
			state.reads.opening_requests += 1;
			state.requests.iter().filter(|request| request.host == *host).cloned().collect()
		}))
	}
	fn standing<'a>(&'a self, epoch: EpochIndex, _: &'a AccountId) -> BoxFuture<'a, Result<Option<StandingView>>> {
		ready(self.with(|state| {
			state.reads.standings += 1;
			state.offence.map(|offence| StandingView {
				epoch,
				commitments: Vec::new(),
				delays: Vec::new(),
				unanswered: 0,
				checked: None,
				compute_weight: None,
				backed_weight: None,
				effective_weight: None,
				proven_weight: None,
				vote_weight: None,
				duties: (0, 0),
				audits: (0, 0),
				blocks: (0, 0),
				confirmations: 0,
				confirmed: 0,
				performance: 0,
				work: 0,
				served: 0,
				paid_weight: None,
				offence: Some(offence),
			})
		}))
	}
	fn audits<'a>(&'a self, checker: &'a AccountId) -> BoxFuture<'a, Result<Vec<AssignedAuditsView>>> {
		ready(self.with(|state| {
			let lists = state.audits.iter().filter(|(of, _)| of == checker);
			lists.map(|(_, list)| list.clone()).collect()
		}))
	}
	fn cases(&self) -> BoxFuture<'_, Result<Vec<CaseView>>> {
		ready(self.with(|state| state.cases.clone()))
	}
	fn reputation<'a>(&'a self, of: &'a AccountId) -> BoxFuture<'a, Result<ReputationView>> {
		ready(self.with(|state| ReputationView {
			reputation: 0,
			receipts: 0,
			muted: None,
			suspicions: Vec::new(),
			case: state.cases.iter().find(|case| case.host == *of).map(|case| case.id),
			judgement: state.judgement.filter(|_| *of == host()),
		}))
	}
	fn calibration_profile(&self, _: ModelId) -> BoxFuture<'_, Result<Option<CalibrationProfile>>> {
		ready(self.with(|state| state.calibration))
	}
	fn audit_rules(&self) -> BoxFuture<'_, Result<AuditRules>> {
		ready(AuditRules::new(self.with(|state| state.market.window), 20))
	}
	fn channel(&self, id: ChannelId) -> BoxFuture<'_, Result<Option<ChannelView>>> {
		ready(self.with(|state| {
			state.look_ups += 1;
			state.channels.iter().find(|channel| channel.id == id).cloned()
		}))
	}
	fn channels_of_host<'a>(&'a self, host: &'a AccountId) -> BoxFuture<'a, Result<Vec<ChannelView>>> {
		ready(self.with(|state| state.channels.iter().filter(|channel| channel.host == *host).cloned().collect()))
	}
	fn registration_terms<'a>(&'a self, _: &'a AccountId) -> BoxFuture<'a, Result<Option<RegistrationTerms>>> {
		ready(self.with(|state| Some(state.terms())))
	}
	fn submit_registration(
		&self,
		registration: Registration,
		signature: Signature,
		worker_signature: Signature,
	) -> BoxFuture<'_, Result<()>> {
		let accepted = self.with(|state| {
			state.registration_bits = state.rises.take().unwrap_or(state.registration_bits);
			if registration.work_bits(&GENESIS) < state.terms().bits {
				return false;
			}
			let payload = signing_payload(domain::REGISTRATION, &GENESIS, &registration);
			assert!(keys::verify(&signature, &payload, &registration.host));
			let consent = signing_payload(domain::WORKER, &GENESIS, &registration.host);
			assert!(keys::verify(&worker_signature, &consent, &registration.worker));
			assert!(registration.is_well_formed() && registration.revision == state.terms().revision);
			state.host = Some(HostView {
				account: registration.host,
				worker: registration.worker,
				url: registration.url.clone(),
				models: registration.models.clone(),
				registered: registration.epoch,
				effective_weight: 0,
				condemned: false,
			});
			state.registrations.push(registration);
			true
		});
		async move { if accepted { Ok(()) } else { Err(rejected("too little work")) } }.boxed()
	}
	fn submit_commitment(&self, commitment: SegmentCommitment, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = signing_payload(domain::COMMITMENT, &GENESIS, &commitment);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			if state.reject {
				return Err(rejected("rejected"));
			}
			if let Some(known) = state.commitments.iter().find(|made| made.segment == commitment.segment) {
				assert_eq!(*known, commitment, "there is never a second commitment");
				return Err(rejected("committed"));
			}
			state.commitments.push(commitment);
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_settlement(&self, settlement: Settlement, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			state.sent.push((settlement.clone(), signature, state.epoch.block));
			if state.reject {
				return Err(rejected("rejected"));
			}
			let outcome = Self::settle(state, &settlement, &signature);
			if state.lose_responses { Err(rejected("the connection was lost")) } else { outcome }
		});
		async { outcome }.boxed()
	}
	fn submit_check(&self, message: CheckMessage, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = message.payload(&GENESIS);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			if state.reject {
				state.rejected += 1;
				return Err(rejected("rejected"));
			}
			let schedule = state.epoch.schedule;
			let offset = state.epoch.block - state.epoch.start + 1;
			let draw = state.epoch.round().map_or(0, |(_, _, draw)| draw);
			match &message {
				CheckMessage::Commit(commitment) => {
					assert!(schedule.takes_digest(draw, offset));
					let check = state.check.as_mut().unwrap();
					if let Some(known) = check.committed.replace(commitment.hash) {
						assert_eq!(known, commitment.hash, "there is never a second commitment");
						return Err(rejected("committed"));
					}
				},
				CheckMessage::Reveal(reveal) => {
					assert!(schedule.takes_reveal(draw, offset));
					let check = state.check.as_mut().unwrap();
					assert_eq!(
						check.committed,
						Some(digest_hash(&reveal.checker, reveal.epoch, reveal.round, &reveal.tags))
					);
					if std::mem::replace(&mut check.revealed, true) {
						return Err(rejected("revealed"));
					}
					let sets = check.duties.iter_mut().flat_map(|duty| &mut duty.sets);
					sets.zip(&reveal.tags).for_each(|(set, tag)| set.tag = Some(*tag));
				},
				CheckMessage::Request(asked) => {
					assert!(schedule.takes_request(draw, offset));
					assert!(!asked.positions.is_empty() && asked.positions.len() <= 8);
					state.requests.push(RequestView {
						checker: asked.checker,
						epoch: asked.epoch,
						round: asked.round,
						host: asked.host,
						positions: asked.positions.clone(),
						deadline: state.epoch.block + 1 + schedule.answer,
						openings: None,
					});
				},
				CheckMessage::Answer(answer) => {
					let mut requests = state.requests.iter_mut();
					let request = requests.find(|made| made.host == answer.host && made.checker == answer.checker);
					if request.unwrap().openings.replace(answer.openings.clone()).is_some() {
						return Err(rejected("posted"));
					}
				},
				_ => {},
			}
			state.messages.push(message);
			state.message_blocks.push(state.epoch.block);
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_report(&self, report: AuditReport, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = signing_payload(domain::AUDIT_REPORT, &GENESIS, &report);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			assert!((1..=64).contains(&report.findings.len()) && report.findings.is_sorted_by(|a, b| a.0 < b.0));
			if state.reject {
				state.rejected += 1;
				return Err(rejected("rejected"));
			}
			let lists = state.audits.iter_mut();
			let list = lists.map(|(_, list)| list).find(|list| list.window == report.window).unwrap();
			assert!(state.epoch.block < list.deadline, "in time");
			if report.findings.iter().any(|(index, _)| list.audits[usize::from(*index)].done) {
				return Err(rejected("reported"));
			}
			for (index, _) in &report.findings {
				list.audits[usize::from(*index)].done = true;
			}
			state.reports.push((report, state.epoch.block));
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_ruling(&self, ruling: Ruling, signature: Signature) -> BoxFuture<'_, Result<()>> {
		let outcome = self.with(|state| {
			let payload = signing_payload(domain::RULING, &GENESIS, &ruling);
			assert!(keys::verify(&signature, &payload, &keys::public(&key("//Worker"))));
			let case = state.cases.iter_mut().find(|case| case.id == ruling.case).unwrap();
			let rules = AuditRules::new(state.market.window, 20);
			let bounds = (rules.guilty, rules.innocent);
			assert_eq!(ruling.reviewed.len(), case.reviewed.len());
			let outcome = judge(&case.profile, &ruling.fresh, rules.unavailable, bounds).expect("decided");
			let seat = case.arbiters.iter_mut().find(|seat| seat.who == ruling.arbiter).unwrap();
			if seat.ruled.replace(outcome).is_some() {
				return Err(rejected("ruled"));
			}
			state.rulings.push(ruling);
			Ok(())
		});
		async { outcome }.boxed()
	}
	fn submit_close(&self, claim: u32, refuter: Option<AccountId>) -> BoxFuture<'_, Result<()>> {
		self.with(|state| {
			state.closed.push((claim, refuter, state.epoch.block));
			state.claims.retain(|open| open.id != claim);
		});
		ready(())
	}
}
