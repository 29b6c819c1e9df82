//! A private nginx in front of the services, with `gateway/gateway.conf.template` rendered for this machine.

use std::env;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::console;
use crate::paths;
use crate::probe::Probe;
use crate::process::{Environment, Part, Stage};
use crate::services;
use crate::stack::{Detours, Layout, Plan, Tls};

pub(crate) const NAME: &str = "gateway";
/// Unless said otherwise.
pub(crate) const MAX_CONCURRENT_REQUESTS: u32 = 4096;
/// Unless said otherwise.
pub(crate) const MAX_STREAMS: u32 = 4096;

/// `address` is where the gateway listens.
pub(crate) fn prepare(layout: &Layout, address: SocketAddr, services: &[Part], plan: &Plan) -> Result<Part> {
    let folder = layout.folder("gateway")?;
    let ours = paths::root().join("gateway");
    let template = fs::read_to_string(ours.join("gateway.conf.template"))?;
    let variables = [
        ("GATEWAY_LISTEN", format!("{address}{}", if plan.gateway_tls.is_some() { " ssl" } else { "" })),
        ("GATEWAY_ACCESS_LOG", layout.log("gateway-access").display().to_string()),
        ("GATEWAY_PUBLIC", ours.join("public").display().to_string()),
        ("GATEWAY_CONSOLE", console::folder().display().to_string()),
        ("GATEWAY_MAX_CONCURRENT_REQUESTS", plan.gateway_max_concurrent_requests.to_string()),
        ("GATEWAY_MAX_STREAMS", plan.gateway_max_streams.to_string()),
        ("GATEWAY_OPERATIONS", operations()?),
        ("CORS_ALLOWED_ORIGINS", origins()?),
    ];
    fs::write(folder.join("gateway.conf"), render(&template, &variables))?;
    let tls = match &plan.gateway_tls {
        Some(tls) => encryption(&fs::read_to_string(ours.join("tls.conf"))?, tls),
        None => String::new(),
    };
    fs::write(folder.join("tls.conf"), tls)?;
    fs::write(folder.join("nginx.conf"), configuration(&folder, services, &plan.detours))?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path of the stack is not UTF-8");
    let args = vec![
        // Otherwise it writes to /var/log before it has read its configuration.
        "-e".to_owned(),
        "stderr".to_owned(),
        "-p".to_owned(),
        text(&folder)?,
        "-c".to_owned(),
        text(&folder.join("nginx.conf"))?,
    ];
    Ok(Part {
        name: NAME.to_owned(),
        stage: Stage::Gateway,
        listed: true,
        folder,
        program: paths::program("nginx").context("nginx is not installed")?,
        args,
        environment: Environment::Own,
        variables: Vec::new(),
        user: None,
        ports: vec![address.port()],
        log: layout.log("gateway"),
        needs: Vec::new(),
        ready: Probe::Tcp(reachable(address)),
        // Requests under way are answered first.
        stop: Signal::SIGQUIT,
        patience: Duration::from_secs(8),
        // Not KILL: the workers would stay.
        orphaned: Signal::SIGTERM,
    })
}

/// Where a client on this machine reaches a listening address.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (loopback, address.port()).into()
}

/// The template with these variables, and with upstreams that are blocks of addresses, for which nobody is asked.
fn render(template: &str, variables: &[(&str, String)]) -> String {
    let fixed = [
        ("ORDERS_UPSTREAM", "orders"),
        ("PAYMENTS_UPSTREAM", "payments"),
        ("ORDERS_OPERATIONS", "orders-operations"),
        ("PAYMENTS_OPERATIONS", "payments-operations"),
        ("RESOLVER", "127.0.0.1"),
    ];
    let variables = variables.iter().map(|(name, value)| (*name, value.as_str())).chain(fixed);
    variables.fold(template.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

/// What containers use, with the files of this machine.
fn encryption(ours: &str, tls: &Tls) -> String {
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    ours.replace("/run/secrets/gateway-certificate", &quoted(&tls.certificate))
        .replace("/run/secrets/gateway-key", &quoted(&tls.key))
}

/// The setting of the gateway, which gets it from here as it is.
fn origins() -> Result<String> {
    let origins = env::var_os("CORS_ALLOWED_ORIGINS").unwrap_or_default();
    let origins = origins.to_str().context("CORS_ALLOWED_ORIGINS is not UTF-8")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-_[]*,".contains(&byte);
    ensure!(
        origins.bytes().all(is_plain),
        "CORS_ALLOWED_ORIGINS must be origins such as https://shop.example, separated by commas, or *"
    );
    Ok(origins.to_owned())
}

/// Whether operators come in through the gateway.
fn operations() -> Result<String> {
    let setting = env::var_os("GATEWAY_OPERATIONS").unwrap_or_else(|| "on".into());
    ensure!(setting == "on" || setting == "off", "GATEWAY_OPERATIONS must be on or off");
    Ok(setting.to_string_lossy().into_owned())
}

fn configuration(folder: &Path, services: &[Part], detours: &Detours) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path \"{folder}/{kind}\";\n"))
        .concat();
    let files = open_files();
    // The rest is for logs and the files of `public`.
    let connections = files - 512;
    format!(
        "daemon off;\n\
         worker_processes auto;\n\
         worker_rlimit_nofile {files};\n\
         worker_shutdown_timeout 5s;\n\
         # The maps of gateway.conf match a dozen expressions for each request.\n\
         pcre_jit on;\n\
         pid \"{folder}/nginx.pid\";\n\
         error_log stderr;\n\
         {user}\
         events {{\n    worker_connections {connections};\n}}\n\
         http {{\n{temporary}{upstreams}    include \"{folder}/tls.conf\";\n    include \"{folder}/gateway.conf\";\n}}\n",
        // Another user could not enter a folder below root's home.
        user = if nix::unistd::Uid::effective().is_root() { "user root;\n" } else { "" },
        upstreams = upstreams(services, detours),
    )
}

/// As many as the kernel lets us have, within reason.
fn open_files() -> u32 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let hard =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().nth(1)?.parse().ok());
    hard.unwrap_or(1024).min(32768)
}

/// Of both services, for everybody and for operators.
fn upstreams(services: &[Part], detours: &Detours) -> String {
    let of = |service: &str| services.iter().filter(|part| part.name.starts_with(service)).collect::<Vec<_>>();
    let blocks = [("orders", services::ORDERS), ("payments", services::PAYMENTS)].map(|(name, service)| {
        let replicas = of(service);
        let public = replicas.iter().map(|part| detours.port(NAME, &part.name, part.ports[0]));
        let operations = replicas.iter().map(|part| part.ports[1]);
        upstream(name, public) + &upstream(&format!("{name}-operations"), operations)
    });
    blocks.concat()
}

fn upstream(name: &str, ports: impl Iterator<Item = u16>) -> String {
    // No replica is left out: whether it listens is asked anew each time, and costs nothing. Two that are left out at a
    // time, because they were restarted one after the other, would be two that are not there.
    let servers: Vec<_> = ports.map(|port| format!("        server 127.0.0.1:{port} max_fails=0;\n")).collect();
    let servers = servers.concat();
    format!("    upstream {name} {{\n{servers}        keepalive 256;\n        keepalive_requests 100000;\n    }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_of_the_template_is_replaced() {
        let template = include_str!("../../gateway/gateway.conf.template");
        let names = [
            "GATEWAY_ACCESS_LOG",
            "GATEWAY_PUBLIC",
            "GATEWAY_CONSOLE",
            "GATEWAY_MAX_CONCURRENT_REQUESTS",
            "GATEWAY_MAX_STREAMS",
            "GATEWAY_OPERATIONS",
            "CORS_ALLOWED_ORIGINS",
        ];
        let mut variables = vec![("GATEWAY_LISTEN", "127.0.0.1:8000".to_owned())];
        variables.extend(names.map(|name| (name, "17".to_owned())));
        let rendered = render(template, &variables);
        assert!(rendered.contains("listen 127.0.0.1:8000 "));
        assert!(rendered.contains("limit_conn gateway_requests 17;"));
        assert!(!rendered.contains("${"), "{rendered}");
    }

    #[test]
    fn a_gateway_for_everybody_is_reached_over_the_loopback() {
        let check = |listen: &str, expected: &str| {
            let listen: SocketAddr = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), expected);
        };
        check("0.0.0.0:8000", "127.0.0.1:8000");
        check("[::]:8000", "[::1]:8000");
        check("192.0.2.7:80", "192.0.2.7:80");
    }
}
