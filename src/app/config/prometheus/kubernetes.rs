//! `kubernetes_sd_configs`: which objects of a cluster are targets.

use super::global::flag;
use super::{Remarks, client, selector, url};
use crate::app::config::error::ConfigError;
use crate::app::config::section::Section;
use crate::app::config::setting::Setting;
use crate::scrape::{KubernetesOptions, KubernetesRole, SelectorOptions};

/// Reads one.
pub(super) fn read(
    mut section: Section<'_>,
    remarks: &mut Remarks,
) -> Result<KubernetesOptions, ConfigError> {
    let section = &mut section;
    let api_server = section.setting("api_server")?;
    if let Some(setting) = &api_server {
        url::parse(&setting.text).map_err(|why| setting.refuse(why))?;
    }
    let role = section.text("role")?.filter(|role| !role.text.is_empty());
    let role = role.map(|setting| role_of(&setting)).transpose()?;
    let (namespaces, own_namespace) = namespaces(section)?;
    let selectors = selectors(section)?;
    let attach = attach_metadata(section, remarks)?;
    let kubeconfig = section.text("kubeconfig_file")?.filter(|file| !file.text.is_empty());
    let client = client::read(section, true, remarks)?;
    section.end()?;

    let Some(role) = role else {
        let message = "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)";
        return Err(section.refuse_value("role", message));
    };
    let wrong = if api_server.is_some() && kubeconfig.is_some() {
        Some(("kubeconfig_file", "cannot use 'kubeconfig_file' and 'api_server' simultaneously"))
    } else if kubeconfig.is_some() && client.is_custom {
        let message = "cannot use a custom HTTP client configuration together with 'kubeconfig_file'";
        Some(("kubeconfig_file", message))
    } else if api_server.is_none() && client.is_custom {
        let message =
            "to use custom HTTP client configuration please provide the 'api_server' URL explicitly";
        Some(("api_server", message))
    } else if api_server.is_some() && own_namespace {
        Some(("namespaces", "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously"))
    } else if kubeconfig.is_some() && own_namespace {
        Some(("namespaces", "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously"))
    } else {
        None
    };
    if let Some((key, message)) = wrong {
        return Err(section.refuse_value(key, message));
    }
    Ok(KubernetesOptions {
        api_server: api_server.map(|setting| setting.text),
        role,
        kubeconfig: kubeconfig.map(|file| section.beside(&file.text)),
        namespaces,
        own_namespace,
        selectors: checked(&selectors, role)?,
        attach_node: attach.0,
        attach_namespace: attach.1,
        client: client.options,
    })
}

/// `namespaces`: their names, and whether our own is among them.
fn namespaces(section: &mut Section<'_>) -> Result<(Vec<String>, bool), ConfigError> {
    let Some(mut section) = section.section("namespaces")? else { return Ok((Vec::new(), false)) };
    let own = flag(&mut section, "own_namespace", false)?;
    let names = section.settings("names")?.unwrap_or_default();
    section.end()?;
    Ok((names.into_iter().map(|name| name.text).collect(), own))
}

/// `attach_metadata`: of nodes, of namespaces.
fn attach_metadata(section: &mut Section<'_>, remarks: &mut Remarks) -> Result<(bool, bool), ConfigError> {
    let Some(mut section) = section.section("attach_metadata")? else { return Ok((false, false)) };
    let node = flag(&mut section, "node", false)?;
    let namespace = flag(&mut section, "namespace", false)?;
    for key in ["deployment", "job", "cronjob"] {
        if flag(&mut section, key, false)? {
            remarks.unsupported(&section.path_of(key));
        }
    }
    section.end()?;
    Ok((node, namespace))
}

/// An element of `selectors`, as written.
struct SelectorText {
    role: Setting,
    label: Setting,
    field: Setting,
}

fn selectors(section: &mut Section<'_>) -> Result<Vec<SelectorText>, ConfigError> {
    let sections = section.sections("selectors", "empty or null section in selectors")?;
    let read = sections.into_iter().map(|mut section| {
        let read = SelectorText {
            role: section.text_or_empty("role")?,
            label: section.text_or_empty("label")?,
            field: section.text_or_empty("field")?,
        };
        section.end()?;
        Ok(read)
    });
    read.collect()
}

fn checked(texts: &[SelectorText], role: KubernetesRole) -> Result<Vec<SelectorOptions>, ConfigError> {
    let (_, name, allowed) = ROLES.iter().find(|(known, ..)| *known == role).expect("every role is listed");
    let mut found: Vec<SelectorOptions> = Vec::new();
    for text in texts {
        let selected = role_of(&text.role).ok();
        if let Some(selected) = selected
            && found.iter().any(|selector| selector.role == selected)
        {
            return Err(text.role.refuse(format!("duplicated selector role: {}", text.role.text)));
        }
        let Some(selected) = selected.filter(|_| allowed.contains(&text.role.text.as_str())) else {
            let allowed = allowed.join(", ");
            return Err(text.role.refuse(format!("{name} role supports only {allowed} selectors")));
        };
        selector::check_fields(&text.field.text).map_err(|why| text.field.refuse(why))?;
        selector::check_labels(&text.label.text).map_err(|why| text.label.refuse(why))?;
        let (label, field) = (text.label.text.clone(), text.field.text.clone());
        found.push(SelectorOptions { role: selected, label, field });
    }
    Ok(found)
}

fn role_of(setting: &Setting) -> Result<KubernetesRole, ConfigError> {
    let found = ROLES.iter().find(|(_, name, _)| *name == setting.text);
    let unknown = || setting.refuse(format!("unknown Kubernetes SD role {:?}", setting.text));
    found.map(|(role, ..)| *role).ok_or_else(unknown)
}

/// Each role by name, and the roles of the selectors that it may have.
const ROLES: [(KubernetesRole, &str, &[&str]); 6] = [
    (KubernetesRole::Node, "node", &["node"]),
    (KubernetesRole::Pod, "pod", &["pod", "node"]),
    (KubernetesRole::Service, "service", &["service"]),
    (KubernetesRole::Endpoints, "endpoints", &["pod", "service", "endpoints"]),
    (KubernetesRole::EndpointSlice, "endpointslice", &["pod", "service", "endpointslice"]),
    (KubernetesRole::Ingress, "ingress", &["ingress"]),
];
