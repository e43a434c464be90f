//! What containers may do: no more than they need.

use serde_json::{Value, json};

use crate::kustomize::OVERLAYS;
use crate::pod::pods;

#[test]
fn nobody_may_do_more_than_it_has_to() {
    for pod in OVERLAYS.iter().flat_map(|overlay| pods(overlay)) {
        for key in ["hostIPC", "hostPID", "hostNetwork"] {
            assert_eq!(pod.spec[key], Value::Null, "{key}");
        }
        assert_eq!(pod.spec["automountServiceAccountToken"], false);
        for container in pod.containers() {
            let (name, root) = (container.name(), container.hands_over());
            let user = container.security("runAsUser").as_u64().unwrap();
            assert_eq!((user == 0, container.security("runAsNonRoot") == true), (root, !root), "{name}");
            let more = if root { json!(["CHOWN", "FOWNER"]) } else { Value::Null };
            let capabilities = container.security("capabilities");
            assert_eq!((&capabilities["drop"], &capabilities["add"]), (&json!(["ALL"]), &more), "{name}");
            assert_eq!(container.security("privileged"), &Value::Null, "{name}");
            assert_eq!(container.security("allowPrivilegeEscalation"), false, "{name}");
            assert_eq!(container.security("readOnlyRootFilesystem"), true, "{name}");
            assert_eq!(container.security("seccompProfile")["type"], "RuntimeDefault", "{name}");
        }
    }
}
