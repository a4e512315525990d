//! The plots of docs/benchmarks.md.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::compare::{IN_FLIGHT, Table};
use crate::curves::Point;
use crate::server::Kind;

const SIZE: (u32, u32) = (960, 360);
const FONT: (&str, u32) = ("sans-serif", 16);
const SMALL: (&str, u32) = ("sans-serif", 12);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Calls a second of every server: a group of bars for each number of calls in flight.
pub(crate) fn servers(path: &Path, table: &Table) -> anyhow::Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(drawing)?;
    let (bars, legend) = root.split_horizontally(660);
    let parts = bars.split_evenly((1, IN_FLIGHT.len()));
    for (in_flight, part) in IN_FLIGHT.iter().zip(&parts) {
        let value = |kind| table.row(kind, *in_flight).per_second.median;
        let most = Kind::ALL.map(value).into_iter().fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(part)
            .caption(format!("{in_flight} in flight, calls/s"), FONT)
            .margin(8)
            .y_label_area_size(48)
            .x_label_area_size(8)
            .build_cartesian_2d(0.0..Kind::ALL.len() as f64, 0.0..most * 1.1)
            .map_err(drawing)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().disable_x_axis().label_style(SMALL);
        mesh.draw().map_err(drawing)?;
        let bar = |(index, kind): (usize, Kind)| {
            let corners = [(index as f64 + 0.1, 0.0), (index as f64 + 0.9, value(kind))];
            Rectangle::new(corners, color(index).filled())
        };
        let all = Kind::ALL.into_iter().enumerate().map(bar);
        chart.draw_series(all).map_err(drawing)?;
    }
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        let y = 60 + 28 * index as i32;
        let mark = Rectangle::new([(8, y), (22, y + 14)], color(index).filled());
        legend.draw(&mark).map_err(drawing)?;
        let text = Text::new(kind.label(), (30, y), SMALL.into_font());
        legend.draw(&text).map_err(drawing)?;
    }
    root.present().map_err(drawing)
}

/// Calls a second, and the 99th percentile of their latency, as something grows.
pub(crate) fn curve(path: &Path, what: &str, points: &[Point]) -> anyhow::Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(drawing)?;
    let (left, right) = root.split_horizontally(SIZE.0 / 2);
    let series = |value: fn(&Point) -> f64| -> Vec<_> {
        points
            .iter()
            .map(|point| (point.at, value(point)))
            .collect()
    };
    line(&left, "calls/s", what, &series(|point| point.per_second))?;
    line(
        &right,
        "p99, ms",
        what,
        &series(|point| point.p99_us / 1000.0),
    )?;
    root.present().map_err(drawing)
}

fn line(area: &Area<'_>, title: &str, what: &str, points: &[(f64, f64)]) -> anyhow::Result<()> {
    let most_x = points.iter().map(|point| point.0).fold(1.0, f64::max);
    let least_x = points.iter().map(|point| point.0).fold(most_x, f64::min);
    let most_y = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, FONT)
        .margin(12)
        .y_label_area_size(56)
        .x_label_area_size(36)
        .build_cartesian_2d((least_x..most_x * 1.05).log_scale(), 0.0..most_y * 1.1)
        .map_err(drawing)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(what).label_style(SMALL).axis_desc_style(SMALL);
    mesh.draw().map_err(drawing)?;
    let line = LineSeries::new(points.iter().copied(), color(4).stroke_width(2));
    chart.draw_series(line).map_err(drawing)?;
    let dots = points
        .iter()
        .map(|point| Circle::new(*point, 3, color(4).filled()));
    chart.draw_series(dots).map_err(drawing)?;
    Ok(())
}

fn color(index: usize) -> RGBColor {
    const COLORS: [RGBColor; 6] = [
        RGBColor(150, 150, 150),
        RGBColor(196, 160, 110),
        RGBColor(110, 160, 190),
        RGBColor(70, 120, 170),
        RGBColor(190, 80, 70),
        RGBColor(120, 150, 70),
    ];
    COLORS[index % COLORS.len()]
}

fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw a plot: {error}")
}
