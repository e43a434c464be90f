//! Pods, as templates have them, and what of their containers the tests ask for.

use serde_json::Value;

use crate::kustomize::{list, render, text};

/// Where the sockets lie in every container.
pub(crate) const SOCKETS: &str = "/run/payload-manager";

/// A pod of an overlay.
pub(crate) struct Pod {
    pub(crate) spec: Value,
}

/// A container, in its pod.
#[derive(Clone, Copy)]
pub(crate) struct Container<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) value: &'a Value,
}

/// Every pod that an overlay makes.
pub(crate) fn pods(overlay: &str) -> Vec<Pod> {
    let made = render(overlay).into_iter().map(|mut one| Pod { spec: one["spec"]["template"]["spec"].take() });
    made.filter(|pod| pod.spec.is_object()).collect()
}

/// The one container that is the daemon's.
pub(crate) fn daemon(pods: &[Pod]) -> Container<'_> {
    let found: Vec<_> = pods.iter().flat_map(Pod::containers).filter(Container::is_daemon).collect();
    let [only] = found[..] else { panic!("{} daemons", found.len()) };
    only
}

/// The containers that connect to it.
pub(crate) fn clients(pods: &[Pod]) -> Vec<Container<'_>> {
    let others = pods.iter().flat_map(Pod::containers).filter(|one| !one.is_daemon() && !one.hands_over());
    let found: Vec<_> = others.filter(|one| one.mount(SOCKETS).is_some()).collect();
    assert!(!found.is_empty(), "nobody connects");
    found
}

impl Pod {
    pub(crate) fn containers(&self) -> impl Iterator<Item = Container<'_>> {
        let all = list(&self.spec["initContainers"]).iter().chain(list(&self.spec["containers"]));
        all.map(|value| Container { pod: self, value })
    }

    pub(crate) fn volume(&self, name: &Value) -> &Value {
        let found = list(&self.spec["volumes"]).iter().find(|volume| volume["name"] == *name);
        found.unwrap_or_else(|| panic!("there is no volume {name}"))
    }
}

impl<'a> Container<'a> {
    pub(crate) fn name(self) -> &'a str {
        text(&self.value["name"])
    }

    pub(crate) fn is_daemon(&self) -> bool {
        text(&self.value["image"]).starts_with("payload-manager:")
    }

    /// Whether it is the one that gives the folders of a node to the daemon's user.
    pub(crate) fn hands_over(self) -> bool {
        self.name() == "folders"
    }

    /// What its security context says, or else its pod's.
    pub(crate) fn security(self, key: &str) -> &'a Value {
        let own = &self.value["securityContext"][key];
        if own.is_null() { &self.pod.spec["securityContext"][key] } else { own }
    }

    pub(crate) fn mounts(self) -> &'a [Value] {
        list(&self.value["volumeMounts"])
    }

    /// What is mounted at this path.
    pub(crate) fn mount(self, path: &str) -> Option<&'a Value> {
        self.mounts().iter().find(|mount| mount["mountPath"] == path)
    }

    /// The volume that is mounted at this path.
    pub(crate) fn volume(self, path: &str) -> &'a Value {
        let mount = self.mount(path).unwrap_or_else(|| panic!("{} has nothing at {path}", self.name()));
        self.pod.volume(&mount["name"])
    }

    /// What a flag of its arguments says.
    pub(crate) fn flag(self, name: &str) -> &'a str {
        let start = format!("--{name}=");
        let found = list(&self.value["args"]).iter().find_map(|arg| text(arg).strip_prefix(&start));
        found.unwrap_or_else(|| panic!("{} has no {start}", self.name()))
    }
}
