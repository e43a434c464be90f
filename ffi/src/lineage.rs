//! What payloads were made from.

use std::ffi::{c_char, c_void};
use std::vec::IntoIter;

use payload_manager_client::{Direction, Edge, LineageEdge};

use crate::client::{about, connected, pm_client};
use crate::error::{Failure, pm_status};
use crate::handle::{self, enter, handles};
use crate::id::{payload_id, pm_id};
use crate::input::{Out, Result, array, text};
use crate::kept::Cursor;
use crate::panic::call;

/// Edges of a lineage. One thread at a time uses it. Made by pm_lineage_get; yours until pm_lineage_close.
pub struct pm_lineage(());

type Edges = Cursor<IntoIter<LineageEdge>>;
handles!(Edges => pm_lineage, 6);

/// That a payload was made from another.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct pm_edge {
    /// What was made; not looked at if you give it.
    pub child: pm_id,
    /// What it was made from.
    pub parent: pm_id,
    /// What was done; null is "" if you give it.
    pub operation: *const c_char,
    /// What the parent was to it; null is "" if you give it.
    pub role: *const c_char,
    /// Opaque; may be null if parameters_len is 0 and you give it.
    pub parameters: *const c_void,
    /// Bytes.
    pub parameters_len: usize,
}

/// # Safety
/// The edge's pointers are what the header asks for.
unsafe fn edge(edge: &pm_edge) -> Result<Edge> {
    // SAFETY: as the caller promised.
    unsafe {
        Ok(Edge {
            parent: edge.parent.into(),
            operation: text(edge.operation, "operation")?.to_owned(),
            role: text(edge.role, "role")?.to_owned(),
            parameters: array(edge.parameters.cast::<u8>(), edge.parameters_len, "parameters")?.to_vec(),
        })
    }
}

/// Remembers what `child` was made from: all `len` edges or none. Blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_lineage_add(
    client: *const pm_client,
    child: *const pm_id,
    edges: *const pm_edge,
    len: usize,
) -> pm_status {
    // SAFETY: the caller's pointers are what the header asks for.
    let edges = unsafe { array(edges, len, "edges") }
        // SAFETY: as above.
        .and_then(|edges| edges.iter().map(|one| unsafe { edge(one) }).collect::<Result<Vec<_>>>());
    match edges {
        // SAFETY: as above.
        Ok(edges) => unsafe { about(client, child, |client, id| client.add_lineage(id, edges)) },
        Err(failure) => call(|| Err(failure)),
    }
}

/// What a payload was made from, or with `descendants` 1 what was made from it, up to `max_depth` steps away (0: all).
/// Blocks. `*out` is yours: close it with pm_lineage_close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_lineage_get(
    client: *const pm_client,
    id: *const pm_id,
    descendants: u8,
    max_depth: u32,
    out: *mut *mut pm_lineage,
) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let (id, out) = unsafe { (payload_id(id)?, Out::new(out, "out")?) };
        out.set(std::ptr::null_mut());
        let direction = if descendants == 0 { Direction::Ancestors } else { Direction::Descendants };
        let depth = (max_depth > 0).then_some(max_depth);
        let edges = connected(client)?.client.lineage(id, direction, depth)?;
        out.set(handle::open(Cursor::new(edges.into_iter())).ok_or_else(Failure::full)?);
        Ok(pm_status::PM_OK)
    })
}

/// The next edge, or PM_END. Does not block. What `out` points to is good until the next call with this lineage.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_lineage_next(lineage: *mut pm_lineage, out: *mut pm_edge) -> pm_status {
    call(|| {
        // SAFETY: the caller's pointers are what the header asks for.
        let out = unsafe { Out::new(out, "out") }?;
        let inside = enter::<Edges>(lineage)?;
        let mut step = inside.step()?;
        let (edges, kept) = &mut *step;
        let Some(LineageEdge { child, edge }) = edges.next() else { return Ok(pm_status::PM_END) };
        let (operation, role) = (kept.text(edge.operation), kept.text(edge.role));
        let (parameters, parameters_len) = kept.bytes(edge.parameters);
        let (child, parent, parameters) = (child.into(), edge.parent.into(), parameters.cast());
        out.set(pm_edge { child, parent, operation, role, parameters, parameters_len });
        Ok(pm_status::PM_OK)
    })
}

/// Ends what pm_lineage_get made. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pm_lineage_close(lineage: *mut pm_lineage) -> pm_status {
    call(|| Ok(handle::close::<Edges>(lineage).map(|()| pm_status::PM_OK)?))
}
