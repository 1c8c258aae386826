//! `GET /v1/usage`: the usage of the key that asks, and what is left of its budgets.

use super::{
	account::Standing,
	calendar::{Day, Month, timestamp},
	limits::{Budget, Limits},
	ring::Spender,
	usage::Counts,
};
use crate::{config::format_gnk, openai::errors::ErrorBody};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

/// The usage of a key in a day or a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PeriodUsage {
	/// The day or month in UTC, such as `2026-12-31` or `2026-12`.
	pub period: String,
	/// Requests, but for those beyond the key's rate.
	pub requests: u64,
	/// Tokens of prompts.
	pub prompt_tokens: u64,
	/// Tokens of completions.
	pub completion_tokens: u64,
	/// Fees in base units, 10⁻⁹ GNK.
	pub cost: String,
	/// Fees in GNK.
	pub cost_gnk: String,
}

impl PeriodUsage {
	/// The usage of a period.
	pub fn new(period: impl ToString, counts: &Counts) -> Self {
		Self {
			period: period.to_string(),
			requests: counts.requests,
			prompt_tokens: counts.prompt_tokens,
			completion_tokens: counts.completion_tokens,
			cost: counts.cost.to_string(),
			cost_gnk: format_gnk(counts.cost),
		}
	}
}

/// A budget of a key. Amounts are decimals: GNK or tokens, as the budget's name says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BudgetUsage {
	/// `gnk_per_day`, `gnk_per_month`, `tokens_per_day` or `tokens_per_month`.
	pub budget: &'static str,
	/// The maximum in the period.
	pub limit: String,
	/// The part that is used.
	pub used: String,
	/// The part that running requests may use.
	pub reserved: String,
	/// The part that is left for new requests.
	pub left: String,
	/// When the next period begins.
	pub resets: String,
}

impl From<&Standing> for BudgetUsage {
	fn from(standing: &Standing) -> Self {
		let amount = |amount| amount_of(standing.budget, amount);
		Self {
			budget: standing.budget.name(),
			limit: amount(standing.limit),
			used: amount(standing.used),
			reserved: amount(standing.reserved),
			left: amount(standing.left()),
			resets: timestamp(standing.resets),
		}
	}
}

/// An amount of a budget without its unit.
fn amount_of(budget: Budget, amount: u128) -> String {
	if budget.is_gnk() { format_gnk(amount) } else { amount.to_string() }
}

/// The limits of a key; null where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LimitsView {
	/// Maximum cost of a day, in GNK.
	pub gnk_per_day: Option<String>,
	/// Maximum cost of a month, in GNK.
	pub gnk_per_month: Option<String>,
	/// Maximum number of tokens of a day, prompts included.
	pub tokens_per_day: Option<u64>,
	/// Maximum number of tokens of a month, prompts included.
	pub tokens_per_month: Option<u64>,
	/// Maximum number of requests within a minute.
	pub requests_per_minute: Option<u32>,
	/// The models that the key may use.
	pub models: Option<Vec<String>>,
	/// When the key expires.
	pub expires: Option<String>,
}

impl From<&Limits> for LimitsView {
	fn from(limits: &Limits) -> Self {
		Self {
			gnk_per_day: limits.gnk_per_day.map(format_gnk),
			gnk_per_month: limits.gnk_per_month.map(format_gnk),
			tokens_per_day: limits.tokens_per_day,
			tokens_per_month: limits.tokens_per_month,
			requests_per_minute: limits.requests_per_minute,
			models: Some(limits.models.clone()).filter(|models| !models.is_empty()),
			expires: limits.expires.map(timestamp),
		}
	}
}

/// The usage of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UsageReport {
	/// Always `usage`.
	pub object: &'static str,
	/// The key's name.
	pub key: String,
	/// Its limits.
	pub limits: LimitsView,
	/// Its budgets of GNK and tokens; those without a limit are left out.
	pub budgets: Vec<BudgetUsage>,
	/// Today, then those of the 30 days before on which the key was used, the latest first.
	pub days: Vec<PeriodUsage>,
	/// This month, then those of the 11 months before in which the key was used, the latest first.
	pub months: Vec<PeriodUsage>,
}

/// Returns the usage of the API key that asks: by day and month, with limits and what is left of them.
#[utoipa::path(get, path = "/v1/usage", responses(
	(status = 200, body = UsageReport),
	(status = 401, description = "The API key is not valid", body = ErrorBody),
))]
pub(crate) async fn usage(Extension(spender): Extension<Spender>) -> Json<UsageReport> {
	let (mut usage, standings, now) = spender.standings();
	usage.forget(now);
	usage.days.entry(Day::of(now)).or_default();
	usage.months.entry(Month::of(now)).or_default();
	Json(UsageReport {
		object: "usage",
		key: spender.name().to_owned(),
		limits: LimitsView::from(&spender.limits()),
		budgets: standings.iter().map(BudgetUsage::from).collect(),
		days: usage.days.iter().rev().map(|(day, counts)| PeriodUsage::new(day, counts)).collect(),
		months: usage.months.iter().rev().map(|(month, counts)| PeriodUsage::new(month, counts)).collect(),
	})
}
