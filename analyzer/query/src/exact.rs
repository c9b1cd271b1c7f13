//! Whole numbers that do not fit are errors: the engine would wrap them around, and nobody would see it.
//!
//! `+`, `-` and `*` of whole numbers become functions that look. Sums are taken in 128 bits, which the rows of no dataset
//! exceed, and are BIGINT again behind that.

use arrow::compute::kernels::numeric;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
};
use datafusion::optimizer::analyzer::AnalyzerRule;
use std::sync::Arc;

/// The rule, behind those of the engine: types are known by then.
#[derive(Debug)]
pub struct Exact;

impl AnalyzerRule for Exact {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite).map(|plan| plan.data)
    }

    fn name(&self) -> &'static str {
        "exact"
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let known = match &plan {
        LogicalPlan::TableScan(scan) => scan.projected_schema.as_ref().clone(),
        plan => merge_schema(&plan.inputs()),
    };
    let (before, names) = (Arc::clone(plan.schema()), NamePreserver::new(&plan));
    let sums = matches!(plan, LogicalPlan::Aggregate(_) | LogicalPlan::Window(_));
    let changed = plan.map_expressions(|expr| {
        let saved = names.save(&expr);
        let changed = expr.transform_up(|expr| exact(expr, &known, sums))?;
        Ok(changed.update_data(|expr| saved.restore(expr)))
    })?;
    if !changed.transformed {
        return Ok(changed);
    }
    changed.map_data(|plan| as_before(plan.recompute_schema()?, &before))
}

/// The plan with the types of the columns it had.
fn as_before(plan: LogicalPlan, before: &DFSchema) -> Result<LogicalPlan> {
    let is_same = |((_, now), (_, then)): (_, _)| same_type(now, then);
    if plan.schema().iter().zip(before.iter()).all(is_same) {
        return Ok(plan);
    }
    let columns = plan.schema().iter().zip(before.iter()).map(|((relation, now), (_, then))| {
        let column = Expr::Column(Column::new(relation.cloned(), now.name()));
        match same_type(now, then) {
            true => column,
            false => cast(column, then.data_type().clone()).alias_qualified(relation.cloned(), then.name()),
        }
    });
    let columns: Vec<Expr> = columns.collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

fn same_type(a: &Arc<arrow::datatypes::Field>, b: &Arc<arrow::datatypes::Field>) -> bool {
    a.data_type() == b.data_type()
}

fn exact(expr: Expr, known: &DFSchema, sums: bool) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(op) => {
            let (a, b) = (left.get_type(known)?, right.get_type(known)?);
            if a == b && a.is_integer() {
                let args = vec![*left, *right];
                return Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(checked(op), args))));
            }
            Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params }) if sums && func.name() == "sum" => {
            let widened = widen(&mut params.args, known)?;
            let sum = Expr::AggregateFunction(AggregateFunction { func, params });
            Ok(if widened { Transformed::yes(sum) } else { Transformed::no(sum) })
        }
        Expr::WindowFunction(mut window) if sums && window.fun.name() == "sum" => {
            let WindowFunction { params, .. } = window.as_mut();
            let widened = widen(&mut params.args, known)?;
            let sum = Expr::WindowFunction(window);
            Ok(if widened { Transformed::yes(sum) } else { Transformed::no(sum) })
        }
        // The engine takes its pattern for a regular expression that may match anywhere.
        Expr::SimilarTo(_) => {
            plan_err!("SIMILAR TO is not known here: say '~' and a regular expression, as '^/a[0-9]+$'")
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Has a sum taken in 128 bits where it is one of whole numbers.
fn widen(args: &mut [Expr], known: &DFSchema) -> Result<bool> {
    let Some(arg) = args.first_mut() else { return Ok(false) };
    let whole = arg.get_type(known)?.is_integer();
    if whole {
        *arg = cast(std::mem::take(arg), DataType::Decimal128(38, 0));
    }
    Ok(whole)
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
}

fn checked(op: Operator) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Checked { op, signature: Signature::any(2, Volatility::Immutable) }))
}

/// An operator that looks whether its result fits.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    op: Operator,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.op {
            Operator::Plus => "plus",
            Operator::Minus => "minus",
            _ => "times",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Int64))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let (a, b) = (&arrays[0], &arrays[1]);
        let result = match self.op {
            Operator::Plus => numeric::add(a, b),
            Operator::Minus => numeric::sub(a, b),
            _ => numeric::mul(a, b),
        };
        Ok(ColumnarValue::Array(result?))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Catalogue, QueryError};
    use arrow::util::pretty::pretty_format_batches;

    fn ask(catalogue: &Catalogue, sql: &str) -> Result<String, QueryError> {
        let shown = pretty_format_batches(&catalogue.collect(sql)?).unwrap().to_string();
        let rows = shown.lines().filter(|line| line.starts_with('|'));
        Ok(rows.map(|row| row.trim_matches(['|', ' ']).replace(' ', "")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn whole_numbers_are_exact_or_an_error() {
        let catalogue = Catalogue::open(&[], 64, 1).unwrap();
        let of = "from (values (9223372036854775807, 1), (1, 1)) t(a, k)";
        for (sql, want) in [
            (format!("select sum(a) - 1 as s {of} where a = 1"), "s 0"),
            (format!("select sum(a) {of} where a = 1"), "sum(t.a) 1"),
            (format!("select k, sum(a) {of} group by k having sum(a) > 5"), ""),
            (format!("select sum(a) over (order by a) as s {of} where a = 1"), "s 1"),
            (format!("select arrow_typeof(sum(k)) as t {of}"), "t Int64"),
            (format!("select sum(a) / count(*) as m {of}"), ""),
            (format!("select a + k as x {of}"), ""),
            (format!("select k from (select k, a * 2 as b {of}) where b > 0"), ""),
            (format!("select a from (select a, k {of}) t where a - k = 0"), "a 1"),
            ("select 9223372036854775807 + 1".to_owned(), ""),
            ("select 1 + 1 as two, 3 * 2.5 as f, -7 / 2 as q".to_owned(), "two|f|q 2|7.5|-3"),
            ("select cast(50000 as int) * cast(50000 as int)".to_owned(), ""),
            ("select count(*) from flows where client_bytes + server_bytes > 10".to_owned(), "count(*) 0"),
            ("select sum(client_bytes + 1) as s from flows group by server_ip order by s".to_owned(), "s"),
        ] {
            match ask(&catalogue, &sql) {
                Ok(got) => assert_eq!(got, want, "{sql}"),
                Err(QueryError::TooLarge(_)) => assert_eq!("", want, "{sql}"),
                Err(error) => panic!("{sql}: {error}"),
            }
        }
    }

    #[test]
    fn what_the_engine_would_get_wrong_is_refused() {
        let catalogue = Catalogue::open(&[], 64, 1).unwrap();
        let error = ask(&catalogue, "select path from http where path similar to 'a%'").unwrap_err();
        assert!(error.to_string().contains("SIMILAR TO"), "{error}");
    }

    #[test]
    fn long_lists_of_indicators_are_asked_for() {
        let catalogue = Catalogue::open(&[], 64, 1).unwrap();
        let likes: Vec<String> = (0..1000).map(|n| format!("path like '%/{n}/%'")).collect();
        let asked = || ask(&catalogue, &format!("select count(*) as n from http where {}", likes.join(" or ")));
        let got = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(crate::STACK_BYTES);
            thread.spawn_scoped(scope, asked).unwrap().join().unwrap()
        });
        assert_eq!(got.unwrap(), "n 0");
    }
}
