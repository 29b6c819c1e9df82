//! The curves, a chart for each unit, with what is said of each curve beside it.

use std::time::Duration;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::curves::{Chart, Curves};
use super::findings::Findings;

const SIZE: (u32, u32) = (1600, 1500);
const COLUMNS: usize = 2;
const FONT: &str = "sans-serif";
/// Where the names are, right of a chart.
const LEGEND: i32 = 270;
/// As different as people can tell them (Okabe and Ito).
const COLOURS: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(150, 140, 20),
    RGBColor(120, 60, 20),
    RGBColor(130, 130, 130),
];

/// An SVG.
pub(crate) fn draw(curves: &Curves, findings: &Findings) -> Result<String> {
    let mut svg = String::new();
    {
        let page = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        page.fill(&WHITE).map_err(unlikely)?;
        let places = page.split_evenly((Chart::ALL.len().div_ceil(COLUMNS), COLUMNS));
        for (chart, place) in Chart::ALL.into_iter().zip(&places) {
            draw_chart(chart, curves, findings, place)?;
        }
        page.present().map_err(unlikely)?;
    }
    Ok(svg)
}

type Place<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_chart(chart: Chart, curves: &Curves, findings: &Findings, place: &Place) -> Result<()> {
    let points = || curves.of(chart).flat_map(|(_, points)| points).map(|(_, value)| chart.scaled(*value));
    let (lowest, highest) = (points().fold(0.0, f64::min), points().fold(1.0, f64::max));
    let mut axes = ChartBuilder::on(place)
        .caption(chart.title(), (FONT, 18))
        .margin(8)
        .margin_right(LEGEND)
        .x_label_area_size(24)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..minutes(curves.end()).max(0.1), lowest..highest * 1.05)
        .map_err(unlikely)?;
    let decimals = usize::from(chart.unscaled(highest) < 20.0);
    let label = |height: &f64| format!("{:.decimals$}", chart.unscaled(*height));
    axes.configure_mesh()
        .light_line_style(WHITE)
        .x_desc("min")
        .label_style((FONT, 12))
        .y_label_formatter(&label)
        .draw()
        .map_err(unlikely)?;
    // What is judged lies behind this line.
    let half = minutes(curves.half());
    axes.draw_series(LineSeries::new([(half, lowest), (half, highest * 1.05)], BLACK.mix(0.4))).map_err(unlikely)?;
    let (width, _) = place.dim_in_pixel();
    let left = i32::try_from(width)? - LEGEND + 12;
    for ((row, colour), (name, points)) in (0..).zip(COLOURS.into_iter().cycle()).zip(curves.of(chart)) {
        let line = points.iter().map(|(at, value)| (minutes(*at), chart.scaled(*value)));
        axes.draw_series(LineSeries::new(line, colour.stroke_width(1))).map_err(unlikely)?;
        let text = format!("{name}: {}", findings.verdict(chart, name));
        place.draw(&Text::new(text, (left, 36 + row * 18), (FONT, 13).into_font().color(&colour))).map_err(unlikely)?;
    }
    Ok(())
}

fn minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}

impl Chart {
    /// Where a value is drawn. Times are drawn by their magnitude: one that is long would hide all others.
    fn scaled(self, value: f64) -> f64 {
        if self == Self::Latency { value.max(0.1).log10() } else { value }
    }

    fn unscaled(self, height: f64) -> f64 {
        if self == Self::Latency { 10_f64.powf(height) } else { height }
    }
}

/// A string takes whatever is drawn.
fn unlikely(problem: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the picture cannot be drawn: {problem}")
}
