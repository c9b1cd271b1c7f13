//! `remora carve`: from rows back to their packets.

use super::bar::Bar;
use super::place;
use crate::cache::{Cache, Needs};
use crate::carve::{Carver, Wanted};
use crate::common::{Common, FAILED};
use crate::inputs::{self, Found, Source};
use crate::say;
use anyhow::{Context, bail};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};
use clap::Args;
use clap::builder::BoolishValueParser;
use formats::said::once;
use formats::tables::TABLES;
use query::{Catalogue, Dataset, QueryError, schema};
use std::collections::{BTreeMap, HashMap};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Write the packets behind rows into a capture of their own.
///
/// The condition is one on 'calls', 'flows', a protocol's table, 'anomalies' or 'packets'. Of a call all packets of
/// its flow from its first to its last byte are taken, in both directions: acknowledgements, and what else the
/// connection carried in that time. Of a flow, all its packets. Bytes, times, interfaces and packet options are those
/// of the input. The exit code is 0 when there are packets, 1 without (then nothing is written), 2 after an error.
#[derive(Args)]
#[command(after_help = "Examples:
  remora carve traffic.pcap --where \"http.status >= 500\" -o errors.pcapng
  remora carve snapshot/ --where \"qname like '%.internal'\" --table dns -o dns.pcapng
  remora carve snapshot/ --where \"ok is false\" --flows -o failed.pcapng
  remora carve traffic.pcap --where \"resets > 0\" -o resets.pcapng")]
pub struct CarveArgs {
    /// Captures or recordings: files, folders, globs, '-' for standard input, s3:// and other URLs.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<String>,
    /// Which rows, as SQL. Subqueries see one recording, or one capture, at a time.
    #[arg(long, short = 'w', env = "REMORA_WHERE", value_name = "CONDITION")]
    r#where: String,
    /// The table the condition is on [default: the one it names ('http.status = 500'), else the first of 'calls',
    /// 'flows' and the others that has its columns].
    #[arg(long, env = "REMORA_TABLE", value_name = "TABLE")]
    table: Option<String>,
    /// Take whole flows, from the first packet of the connection to its last.
    #[arg(long, env = "REMORA_FLOWS", value_parser = BoolishValueParser::new())]
    flows: bool,
    /// The capture to write, pcapng; '-' for standard output.
    #[arg(long, short, env = "REMORA_CARVE_OUT", value_name = "OUT")]
    output: PathBuf,
    /// Refused: packets are written as they were sent, and nothing in them is redacted.
    #[arg(long, env = "REMORA_REDACT", value_delimiter = ',', value_name = "FILE|builtin")]
    redact: Vec<PathBuf>,
}

/// Packets that are wanted, by capture.
type ByCapture = BTreeMap<String, Vec<Wanted>>;

/// Flows that are named in a condition one by one.
const FLOWS_NAMED_MAX: usize = 256;

/// What is meant.
pub struct CarvePlan {
    found: Found,
    table: &'static str,
    condition: String,
    whole_flows: bool,
    output: PathBuf,
    common: Common,
}

impl CarveArgs {
    /// Finds the inputs and the table that is meant.
    pub fn resolve(self, common: &Common) -> anyhow::Result<CarvePlan> {
        if !self.redact.is_empty() {
            bail!(
                "carve writes packets as they were sent: nothing in them can be redacted; leave --redact (REMORA_REDACT) \
                 out, or hand on rows (remora dissect --redact)"
            );
        }
        if self.output.as_os_str() == "-" && std::io::stdout().is_terminal() {
            bail!("a capture is nothing for a terminal: name a file with --output");
        }
        let table = table(self.table.as_deref(), &self.r#where)?;
        if self.table.is_none() && !names(&self.r#where, table) {
            say::note(format_args!("the condition is read as one on '{table}' (--table says otherwise)"));
        }
        let found = inputs::find(&self.inputs, &common.keys()?)?;
        if let Some(dataset) = found.datasets.first() {
            bail!("{dataset:?} is a dataset, which holds rows: name the captures it was made of");
        }
        place::refuse_input(&found, &self.output)?;
        let (condition, whole_flows) = (self.r#where, self.flows);
        Ok(CarvePlan { found, table, condition, whole_flows, output: self.output, common: common.clone() })
    }
}

/// Whether a condition qualifies columns with a table's name.
fn names(condition: &str, table: &str) -> bool {
    let lower = condition.to_lowercase();
    lower
        .match_indices(&format!("{table}."))
        .any(|(at, _)| !lower[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '\'')))
}

/// The table a condition is on.
fn table(asked: Option<&str>, condition: &str) -> anyhow::Result<&'static str> {
    let has_packets = |name: &&str| schema::table(name).is_ok_and(|table| table.column("flow_id").is_some());
    let others = TABLES.iter().map(|table| table.name).filter(|name| !matches!(*name, "flows" | "spans"));
    let all: Vec<&'static str> = ["calls", "flows"].into_iter().chain(others).filter(has_packets).collect();
    if let Some(asked) = asked {
        let asked = schema::table(asked)?.name;
        return match all.contains(&asked) {
            true => Ok(asked),
            false => bail!("rows of '{asked}' have no packets; those of {} have", all.join(", ")),
        };
    }
    let named: Vec<&'static str> = all.iter().copied().filter(|name| names(condition, name)).collect();
    // Without data: only names and types are looked at.
    let empty = Catalogue::open(&[], 64, 1)?;
    let fits = |table: &str| empty.check(&format!("select 1 from {table} where ({condition}\n)"));
    match named.as_slice() {
        [one] => fits(one).map(|()| *one).map_err(anyhow::Error::from),
        [] => match all.iter().find(|table| fits(table).is_ok()) {
            Some(table) => Ok(table),
            None => Err(fits("calls").err().map_or_else(|| anyhow::anyhow!("no such rows"), anyhow::Error::from)),
        },
        several => bail!("the condition names {}; say with --table which rows are meant", several.join(" and ")),
    }
}

/// Writes the packets.
pub fn run(mut plan: CarvePlan, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    plan.found.warnings.iter().for_each(say::warning);
    plan.found.failed.iter().for_each(say::error);
    let cache = Cache::open(&plan.common)?;
    let mut carver = Carver::new(cache.folder())?;
    let mut failed = plan.found.failed.len();
    let bar = Bar::new(plan.common.quiet);
    let mut sources = std::mem::take(&mut plan.found.sources);
    let is_only = sources.len() == 1;
    for source in &mut sources {
        let carved = source.spool(cache.folder()).and_then(|()| carve(&plan, source, &mut carver, &cache, &bar));
        match carved {
            Err(error) if is_only => return Err(error),
            Err(error) => {
                failed += 1;
                bar.0.suspend(|| say::error(once(error.chain())));
            }
            Ok(()) => {}
        }
    }
    drop(bar);
    let packets = carver.packets();
    if packets > 0 {
        if plan.output.as_os_str() == "-" {
            carver.finish(out)?;
        } else {
            place::write(&plan.output, |file| Ok(carver.finish(file)?))?;
        }
    }
    say::done(format_args!("{packets} packets"));
    Ok(match packets {
        _ if failed > 0 => ExitCode::from(FAILED),
        0 => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    })
}

/// Takes what is wanted of one source.
fn carve(plan: &CarvePlan, source: &Source, carver: &mut Carver, cache: &Cache, bar: &Bar) -> anyhow::Result<()> {
    let rows = format!("{} where ({}\n)", plan.table, plan.condition);
    let sql = format!("select * from {rows}");
    let mut needs = Needs::of(&sql);
    needs.tables.extend(["packets", "spans"]);
    let made = cache.dataset(source, &needs, bar)?;
    made.refused.iter().for_each(|error| bar.0.suspend(|| say::error(error)));
    let (memory_max_mib, threads) = (plan.common.memory_max_mib, plan.common.threads());
    let interfaces = made.interfaces();
    let catalogue = Catalogue::open(&[Dataset::Folder(made.folder)], memory_max_mib, threads)?;
    let mut wanted = wanted(&catalogue, plan, &rows)?;
    for capture in &source.captures {
        if let Some(packets) = wanted.get_mut(&capture.name) {
            packets.sort_unstable();
            let interfaces = interfaces.get(&capture.name).map(Vec::as_slice).unwrap_or_default();
            carver.take(capture, packets, interfaces, cache.folder()).with_context(|| capture.name.clone())?;
        }
    }
    if let Some(lost) = catalogue.loss(&sql, None).filter(|_| !plan.common.quiet) {
        bar.0.suspend(|| say::note(lost));
    }
    Ok(())
}

/// The packets that are wanted, by capture.
fn wanted(catalogue: &Catalogue, plan: &CarvePlan, rows: &str) -> Result<ByCapture, QueryError> {
    if plan.table == "packets" && !plan.whole_flows {
        return packets(catalogue, rows, |_, _| true);
    }
    let has_calls = schema::table(plan.table).is_ok_and(|table| table.column("call_id").is_some());
    if plan.whole_flows || !has_calls || plan.table == "anomalies" {
        let flows = flows(catalogue, rows)?;
        return packets(catalogue, &of_flows(rows, &flows, None), |_, _| true);
    }
    let times = times(
        catalogue,
        &format!("select flow_id, first_ts_ns, last_ts_ns from spans where call_id in (select call_id from {rows})"),
    )?;
    let all = || times.values().flatten();
    let between = all().map(|&(first, _)| first).min().zip(all().map(|&(_, last)| last).max());
    let flows: Vec<i64> = times.keys().copied().collect();
    packets(catalogue, &of_flows(rows, &flows, between), |flow_id, ts_ns| {
        let times = flow_id.and_then(|flow_id| times.get(&flow_id)).map(Vec::as_slice).unwrap_or_default();
        // The last that begins no later.
        let at = times.partition_point(|&(first, _)| first <= ts_ns);
        at.checked_sub(1).and_then(|at| times.get(at)).is_some_and(|&(_, last)| ts_ns <= last)
    })
}

/// The flows of rows.
fn flows(catalogue: &Catalogue, rows: &str) -> Result<Vec<i64>, QueryError> {
    let mut flows = Vec::new();
    catalogue.answer(&format!("select distinct flow_id from {rows}"), |batch| {
        flows.extend(batch.column(0).as_primitive::<Int64Type>().iter().flatten());
        Ok(())
    })?;
    Ok(flows)
}

/// The packets of flows, between these times [ns]. Few flows are named one by one: then whole row groups are passed by.
fn of_flows(rows: &str, flows: &[i64], between: Option<(i64, i64)>) -> String {
    let between = between.map_or_else(String::new, |(first, last)| format!(" and ts_ns between {first} and {last}"));
    if flows.is_empty() {
        return "packets where false".to_owned();
    }
    if flows.len() > FLOWS_NAMED_MAX {
        return format!("packets where flow_id in (select flow_id from {rows}){between}");
    }
    let flows: Vec<String> = flows.iter().map(i64::to_string).collect();
    format!("packets where flow_id in ({}){between}", flows.join(", "))
}

/// When calls were under way, by flow: in order, none touching another.
fn times(catalogue: &Catalogue, sql: &str) -> Result<HashMap<i64, Vec<(i64, i64)>>, QueryError> {
    let mut times: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
    catalogue.answer(sql, |batch| {
        let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().values();
        for ((&flow_id, &first), &last) in column(0).iter().zip(column(1)).zip(column(2)) {
            times.entry(flow_id).or_default().push((first, last));
        }
        Ok(())
    })?;
    for times in times.values_mut() {
        times.sort_unstable();
        times.dedup_by(|next, before| {
            let touches = next.0 <= before.1;
            if touches {
                before.1 = before.1.max(next.1);
            }
            touches
        });
    }
    Ok(times)
}

/// Packets by capture, of those `from` names that are wanted by their flow and time.
fn packets(
    catalogue: &Catalogue,
    from: &str,
    is_wanted: impl Fn(Option<i64>, i64) -> bool,
) -> Result<ByCapture, QueryError> {
    let mut wanted = ByCapture::new();
    let columns = "flow_id, ts_ns, packet, file_offset, captured_bytes, wire_bytes, interface, capture";
    catalogue.answer(&format!("select {columns} from {from}"), |batch| {
        let number = |at: usize| batch.column(at).as_primitive::<Int64Type>();
        let interfaces = batch.column(6).as_primitive::<Int32Type>();
        let captures = batch.column(7).as_string_view();
        for row in 0..batch.num_rows() {
            let ts_ns = number(1).value(row);
            let flow_id = number(0).is_valid(row).then(|| number(0).value(row));
            if captures.is_null(row) || !is_wanted(flow_id, ts_ns) {
                continue;
            }
            let packet = Wanted {
                file_offset: number(3).value(row) as u64,
                packet: number(2).value(row) as u64,
                ts_ns,
                captured_bytes: number(4).value(row) as u32,
                wire_bytes: number(5).value(row) as u32,
                interface: interfaces.value(row) as u32,
            };
            match wanted.get_mut(captures.value(row)) {
                Some(packets) => packets.push(packet),
                None => drop(wanted.insert(captures.value(row).to_owned(), vec![packet])),
            }
        }
        Ok(())
    })?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_one_meant() {
        for (asked, condition, want) in [
            (None, "http.status = 500", "http"),
            (None, "ok is false", "calls"),
            (None, "resets > 0", "flows"),
            (None, "qname = 'http.test'", "dns"),
            (None, "tcp_flags = 'S'", "packets"),
            (Some("DNS"), "rcode = 'NXDOMAIN'", "dns"),
        ] {
            assert_eq!(table(asked, condition).unwrap(), want, "{condition}");
        }
        let error = |asked, condition| table(asked, condition).unwrap_err().to_string();
        assert!(error(None, "statsu = 500").contains("'status'"));
        assert!(error(None, "http.status > dns.id").contains("http and dns"));
        assert!(error(Some("coverage"), "true").contains("no packets"));
    }
}
