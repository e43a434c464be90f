//! `lineage`: what a payload was made from, or what was made from it, as a tree.

use std::collections::{HashMap, HashSet};

use clap::{Args, Subcommand};
use payload_manager_client::{Client, Direction, Edge, LineageEdge, PayloadId};
use serde_json::json;

use crate::exit::{Failure, Outcome};
use crate::output::{HEADING, Output, line};
use crate::safe;

/// `lineage`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct LineageArgs {
    /// Something else than looking.
    #[command(subcommand)]
    pub(crate) command: Option<LineageCommand>,
    /// Which payload; it may be gone
    #[arg(required = true)]
    pub(crate) id: Option<PayloadId>,
    /// What was made from it, instead of what it was made from
    #[arg(long)]
    pub(crate) down: bool,
    /// At most so many steps
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<u32>,
}

/// Changing a lineage.
#[derive(Debug, Subcommand)]
pub(crate) enum LineageCommand {
    /// Say what a payload was made from
    Add(AddArgs),
}

/// `lineage add`
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// What was made
    pub(crate) child: PayloadId,
    /// What it was made from, and what that was to it; may be given several times
    #[arg(long = "parent", value_name = "ID[:ROLE]", required = true, value_parser = parent)]
    pub(crate) parents: Vec<(PayloadId, String)>,
    /// What was done, such as resize
    #[arg(long, default_value = "")]
    pub(crate) operation: String,
    /// How it was done
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) parameters: String,
}

fn parent(text: &str) -> Result<(PayloadId, String), String> {
    let (id, role) = text.split_once(':').unwrap_or((text, ""));
    id.parse().map(|id| (id, role.to_owned())).map_err(|error| format!("{id}: {error}"))
}

/// Carries `lineage` out.
///
/// # Errors
/// The daemon says no, or standard output can't be written to.
pub(crate) async fn run(client: &Client, output: Output, args: LineageArgs) -> Outcome {
    if let Some(LineageCommand::Add(args)) = args.command {
        return add(client, args).await;
    }
    let Some(id) = args.id else { return Err(Failure::Usage("say which payload".to_owned())) };
    let direction = if args.down { Direction::Descendants } else { Direction::Ancestors };
    let edges = client.lineage(id, direction, args.depth).await;
    let edges = edges.map_err(|error| Failure::from(error).about(id))?;
    if output.json { objects(output, &edges) } else { Tree::of(direction, &edges).draw(id) }
}

async fn add(client: &Client, args: AddArgs) -> Outcome {
    let AddArgs { child, parents, operation, parameters } = args;
    let edges = parents.into_iter().map(|(parent, role)| Edge {
        parent,
        operation: operation.clone(),
        role,
        parameters: parameters.clone().into_bytes(),
    });
    client.add_lineage(child, edges).await.map_err(|error| Failure::from(error).about(child))
}

fn objects(output: Output, edges: &[LineageEdge]) -> Outcome {
    for LineageEdge { child, edge } in edges {
        let (form, parameters) = safe::data(&edge.parameters);
        output.object(&json!({
            "child": child.to_string(),
            "parent": edge.parent.to_string(),
            "operation": edge.operation,
            "role": edge.role,
            if form == "data" { "parameters" } else { "parameters_hex" }: parameters,
        }))?;
    }
    Ok(())
}

/// Steps that are drawn below each other: further ones would only stand further to the right.
const STEPS: usize = 50;

/// Edges by where they lead from.
struct Tree<'a> {
    from: HashMap<PayloadId, Vec<(PayloadId, &'a Edge)>>,
}

/// What is still to be drawn, the next one last.
struct Branch<'a> {
    id: PayloadId,
    edge: &'a Edge,
    /// What stands left of it.
    left: String,
    is_last: bool,
    steps: usize,
}

impl<'a> Tree<'a> {
    fn of(direction: Direction, edges: &'a [LineageEdge]) -> Self {
        let mut from: HashMap<_, Vec<_>> = HashMap::new();
        for LineageEdge { child, edge } in edges {
            let (start, end) = match direction {
                Direction::Ancestors => (*child, edge.parent),
                Direction::Descendants => (edge.parent, *child),
            };
            from.entry(start).or_default().push((end, edge));
        }
        Self { from }
    }

    fn draw(&self, root: PayloadId) -> Outcome {
        line(&format!("{HEADING}{root}{HEADING:#}"))?;
        self.walk(root, &mut |text| line(text))
    }

    /// Calls `each` with a line for every edge. What a payload was made from is shown once: where the payload comes
    /// again, the line says so.
    fn walk(&self, root: PayloadId, each: &mut dyn FnMut(&str) -> Outcome) -> Outcome {
        let (mut seen, mut stack) = (HashSet::from([root]), Vec::new());
        self.grow(root, "", 1, &mut stack);
        while let Some(Branch { id, edge, left, is_last, steps }) = stack.pop() {
            let has_more = self.from.contains_key(&id);
            let (again, far) = (!seen.insert(id), steps >= STEPS);
            let note = match (again, has_more && far) {
                (true, _) => "  (see above)",
                (false, true) => "  (goes on: ask for this one)",
                (false, false) => "",
            };
            let (branch, below) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
            each(&format!("{left}{branch}{id}{}{note}", told(edge)))?;
            if has_more && !again && !far {
                self.grow(id, &format!("{left}{below}"), steps + 1, &mut stack);
            }
        }
        Ok(())
    }

    fn grow(&self, id: PayloadId, left: &str, steps: usize, stack: &mut Vec<Branch<'a>>) {
        let edges = self.from.get(&id).map_or(&[][..], Vec::as_slice);
        let last = edges.len().saturating_sub(1);
        stack.extend(edges.iter().enumerate().rev().map(|(at, (id, edge))| Branch {
            id: *id,
            edge,
            left: left.to_owned(),
            is_last: at == last,
            steps,
        }));
    }
}

/// What was done, and what the parent was to it.
fn told(edge: &Edge) -> String {
    let operation = Some(&edge.operation).filter(|text| !text.is_empty());
    let role = Some(&edge.role).filter(|text| !text.is_empty());
    let operation = operation.map(|text| format!("  {}", safe::line(text.as_bytes())));
    let role = role.map(|text| format!("  as {}", safe::line(text.as_bytes())));
    format!("{}{}", operation.unwrap_or_default(), role.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> PayloadId {
        PayloadId::from_bytes([n; 16])
    }

    fn edge(child: u8, parent: u8) -> LineageEdge {
        let edge = Edge { parent: id(parent), operation: "op".into(), role: String::new(), parameters: vec![] };
        LineageEdge { child: id(child), edge }
    }

    fn drawn(edges: &[LineageEdge]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut each = |text: &str| {
            lines.push(text.to_owned());
            Ok(())
        };
        Tree::of(Direction::Ancestors, edges).walk(id(0), &mut each).unwrap();
        lines
    }

    #[test]
    fn what_two_have_in_common_is_shown_once_and_then_pointed_at() {
        let edges = [edge(0, 1), edge(0, 2), edge(1, 3), edge(2, 3), edge(3, 4)];
        let (one, two, three, four) = (id(1), id(2), id(3), id(4));
        let expected = [
            format!("├── {one}  op"),
            format!("│   └── {three}  op"),
            format!("│       └── {four}  op"),
            format!("└── {two}  op"),
            format!("    └── {three}  op  (see above)"),
        ];
        assert_eq!(drawn(&edges), expected);
    }

    #[test]
    fn a_long_chain_ends_with_where_to_go_on_and_names_can_do_no_harm() {
        let chain: Vec<_> = (0..200).map(|n| edge(n, n + 1)).collect();
        let lines = drawn(&chain);
        assert_eq!(lines.len(), STEPS);
        assert!(lines[STEPS - 1].ends_with("(goes on: ask for this one)"), "{}", lines[STEPS - 1]);
        let mut evil = edge(0, 1);
        evil.edge.role = "x\x1b[31m\n".into();
        assert_eq!(drawn(&[evil]), [format!("└── {}  op  as x\\u{{1b}}[31m\\n", id(1))]);
    }

    #[test]
    fn a_parent_is_an_id_and_perhaps_a_role() {
        let text = id(7).to_string();
        assert_eq!(parent(&text), Ok((id(7), String::new())));
        assert_eq!(parent(&format!("{text}:left:eye")), Ok((id(7), "left:eye".into())));
        assert!(parent("nonsense").is_err() && parent(":role").is_err());
    }
}
