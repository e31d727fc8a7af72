//! Curves as an SVG: one panel above the other, over the same time.

use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const PANEL: f64 = 150.0;
const GAP: f64 = 40.0;
const LEFT: f64 = 70.0;

/// A curve with its name, and its value at each moment.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Draws the curves; `marks` are moments with a name.
pub(crate) fn svg(title: &str, curves: &[Curve], marks: &[(f64, &str)]) -> String {
    let end = curves
        .iter()
        .flat_map(|curve| &curve.points)
        .fold(1.0_f64, |end, (time, _)| end.max(*time));
    #[expect(clippy::cast_precision_loss, reason = "a handful of panels")]
    let height = GAP + curves.len() as f64 * (PANEL + GAP);
    let x = |time: f64| LEFT + time / end * (WIDTH - LEFT - 20.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title}</text>\n"
    );
    let mut top = GAP;
    for curve in curves {
        let most = curve.points.iter().map(|(_, value)| *value);
        let most = most.fold(0.0_f64, f64::max).max(1e-9) * 1.1;
        let bottom = top + PANEL;
        let y = |value: f64| bottom - value / most * PANEL;
        let _ = write!(
            svg,
            "<text x=\"{LEFT}\" y=\"{}\">{}</text>\n\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{}\" height=\"{PANEL}\" fill=\"none\" stroke=\"#bbb\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most:.1}</text>\n\
             <text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">0</text>\n",
            top - 6.0,
            curve.name,
            WIDTH - LEFT - 20.0,
            LEFT - 6.0,
            top + 10.0,
            LEFT - 6.0,
        );
        let points = curve.points.iter();
        let points: Vec<_> = points
            .map(|(time, value)| format!("{:.1},{:.1}", x(*time), y(*value)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#0b5cad\" stroke-width=\"1.2\"/>",
            points.join(" ")
        );
        top = bottom + GAP;
    }
    for (time, name) in marks {
        let _ = write!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{GAP}\" y2=\"{1:.1}\" stroke=\"#b3261e\" stroke-dasharray=\"4\"/>\n\
             <text x=\"{2:.1}\" y=\"{3:.1}\" fill=\"#b3261e\">{name}</text>\n",
            x(*time),
            top - GAP,
            x(*time) + 4.0,
            top - GAP + 16.0,
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{end:.0} s</text>\n</svg>",
        WIDTH - 20.0,
        top - GAP + 16.0
    );
    svg
}
