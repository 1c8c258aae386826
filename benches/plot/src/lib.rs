//! Line plots as SVG files without dependencies. They follow the reader's light or dark background.

#![deny(missing_docs, unsafe_code)]

use std::fmt::Write;

/// A plot with a logarithmic x axis.
pub struct Plot {
	/// Title.
	pub title: String,
	/// Label of the x axis.
	pub x_label: String,
	/// Label of the y axis.
	pub y_label: String,
	/// Ticks of x, ascending; the first and the last are the ends of the axis.
	pub x_ticks: Vec<(f64, String)>,
	/// Ticks of y, ascending; the first and the last are the ends of the axis.
	pub y_ticks: Vec<(f64, String)>,
	/// Series; six at most have different colours.
	pub series: Vec<Series>,
	/// Note below the title that explains lines and points.
	pub note: String,
	/// Whether the names of the series are in the upper left corner instead of the lower right one.
	pub names_on_top: bool,
}

/// A line, and measured points of the same kind.
pub struct Series {
	/// Name.
	pub name: String,
	/// Points of the line.
	pub line: Vec<(f64, f64)>,
	/// Measured points, each with the length of its error bar to either side.
	pub points: Vec<(f64, f64, f64)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 62.0;
/// Colours that colour-blind readers can tell apart: on a light and on a dark background.
const COLOURS: [(&str, &str); 6] = [
	("#0072b2", "#56b4e9"),
	("#00795a", "#1fc39a"),
	("#c44e00", "#ff9442"),
	("#a6498a", "#e69acb"),
	("#806000", "#e6c229"),
	("#444444", "#cccccc"),
];

impl Plot {
	fn x(&self, x: f64) -> f64 {
		let end = |tick: Option<&(f64, String)>| tick.map_or(1.0, |tick| tick.0).ln();
		let (first, last) = (end(self.x_ticks.first()), end(self.x_ticks.last()));
		LEFT + (x.ln() - first) / (last - first) * (WIDTH - LEFT - RIGHT)
	}

	fn y(&self, y: f64) -> f64 {
		let end = |tick: Option<&(f64, String)>| tick.map_or(0.0, |tick| tick.0);
		let (first, last) = (end(self.y_ticks.first()), end(self.y_ticks.last()));
		HEIGHT - BOTTOM - (y.clamp(first, last) - first) / (last - first) * (HEIGHT - TOP - BOTTOM)
	}

	/// Returns the plot as SVG.
	pub fn svg(&self) -> String {
		let mut svg = String::new();
		// Writing to a string cannot fail.
		let _ = self.write(&mut svg);
		svg
	}

	fn write(&self, svg: &mut String) -> std::fmt::Result {
		let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
		writeln!(
			svg,
			r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#,
			self.title
		)?;
		svg.push_str(
			"<style>\ntext{font:13px system-ui,sans-serif;fill:#222}\n.title{font-size:15px;font-weight:600}\n",
		);
		svg.push_str(".note{fill:#666}\n.grid{stroke:#888;stroke-opacity:.25}\n.axis{stroke:#888}\n");
		let rule = |number: usize, colour: &str| {
			format!(".s{number}{{stroke:{colour}}}.d{number}{{fill:{colour};stroke:none}}")
		};
		for (number, (light, _)) in COLOURS.iter().enumerate() {
			writeln!(svg, "{}", rule(number, light))?;
		}
		svg.push_str("@media(prefers-color-scheme:dark){text{fill:#ddd}.note{fill:#aaa}\n");
		for (number, (_, dark)) in COLOURS.iter().enumerate() {
			writeln!(svg, "{}", rule(number, dark))?;
		}
		svg.push_str("}\n</style>\n");
		writeln!(svg, r#"<text class="title" x="{LEFT}" y="24">{}</text>"#, self.title)?;
		writeln!(svg, r#"<text class="note" x="{LEFT}" y="44">{}</text>"#, self.note)?;
		for (x, label) in &self.x_ticks {
			let x = self.x(*x);
			writeln!(svg, r#"<path class="grid" d="M{x:.1} {TOP}V{bottom}"/>"#)?;
			writeln!(svg, r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#, bottom + 18.0)?;
		}
		for (y, label) in &self.y_ticks {
			let y = self.y(*y);
			writeln!(svg, r#"<path class="grid" d="M{LEFT} {y:.1}H{right}"/>"#)?;
			writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 8.0, y + 4.5)?;
		}
		writeln!(svg, r#"<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{right}"/>"#)?;
		let (middle_x, middle_y) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
		writeln!(svg, r#"<text x="{middle_x}" y="{}" text-anchor="middle">{}</text>"#, HEIGHT - 16.0, self.x_label)?;
		writeln!(
			svg,
			r#"<text transform="translate(20 {middle_y}) rotate(-90)" text-anchor="middle">{}</text>"#,
			self.y_label
		)?;
		for (number, series) in self.series.iter().enumerate() {
			self.draw(svg, number % COLOURS.len(), series)?;
			let (x, y) = if self.names_on_top {
				(LEFT + 14.0, TOP + 20.0 + 20.0 * number as f64)
			} else {
				(right - 238.0, bottom - 16.0 - 20.0 * (self.series.len() - 1 - number) as f64)
			};
			let class = number % COLOURS.len();
			writeln!(svg, r#"<path class="s{class}" stroke-width="2" d="M{x} {:.1}h26"/>"#, y - 4.5)?;
			writeln!(svg, r#"<circle class="d{class}" cx="{}" cy="{:.1}" r="3.5"/>"#, x + 13.0, y - 4.5)?;
			writeln!(svg, r#"<text x="{}" y="{y:.1}">{}</text>"#, x + 34.0, series.name)?;
		}
		svg.push_str("</svg>\n");
		Ok(())
	}

	fn draw(&self, svg: &mut String, class: usize, series: &Series) -> std::fmt::Result {
		write!(svg, r#"<path class="s{class}" fill="none" stroke-width="1.75" d=""#)?;
		for (number, (x, y)) in series.line.iter().enumerate() {
			write!(svg, "{}{:.1} {:.1}", if number == 0 { 'M' } else { 'L' }, self.x(*x), self.y(*y))?;
		}
		svg.push_str("\"/>\n");
		for (x, y, bar) in &series.points {
			let (x, low, high) = (self.x(*x), self.y(y - bar), self.y(y + bar));
			writeln!(
				svg,
				r#"<path class="s{class}" d="M{x:.1} {low:.1}V{high:.1}M{0:.1} {low:.1}h6M{0:.1} {high:.1}h6"/>"#,
				x - 3.0
			)?;
			writeln!(svg, r#"<circle class="d{class}" cx="{x:.1}" cy="{:.1}" r="3"/>"#, self.y(*y))?;
		}
		Ok(())
	}
}
