//! Sandboxes made from the PostgreSQL that is installed.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use pgkedge_sandbox::{Options, Sandbox, SandboxError, StopMode};

fn options(parent: &tempfile::TempDir) -> Options {
    // The servers' account has to pass through the parent.
    let open = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(parent.path(), open).expect("the parent is ours");
    Options { folder: Some(parent.path().join("sandbox")), ..Options::default() }
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn a_sandbox_is_made_found_again_and_removed_with_its_servers() {
    let parent = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(&options(&parent)).unwrap();
    assert!(answers(sandbox.source.port) && answers(sandbox.target.port));
    assert_ne!(sandbox.source.port, sandbox.target.port);
    assert_eq!(Sandbox::open(&sandbox.folder).unwrap(), sandbox);

    let url = std::fs::read_to_string(&sandbox.source.url).unwrap();
    assert!(url.ends_with(&format!("@127.0.0.1:{}/dvd_rental\n", sandbox.source.port)), "{url}");
    let plan = std::fs::read_to_string(sandbox.plan()).unwrap();
    assert!(plan.contains(&format!("{:?}", sandbox.target.url.to_str().unwrap())), "{plan}");
    for secret in [&sandbox.source.url, &sandbox.target.url, &sandbox.pgpass()] {
        assert_eq!(std::fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);
    }

    Sandbox::down(&sandbox.folder).unwrap();
    assert!(!sandbox.folder.exists());
    assert!(!answers(sandbox.source.port) && !answers(sandbox.target.port));
}

#[test]
fn a_server_that_crashed_starts_again_on_its_port() {
    let parent = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::up(&options(&parent)).unwrap().temporary();
    sandbox.target.stop(StopMode::Immediate).unwrap();
    assert!(!sandbox.target.is_running().unwrap());
    sandbox.target.start().unwrap();
    assert!(sandbox.target.is_running().unwrap() && answers(sandbox.target.port));
}

#[test]
fn nothing_is_left_of_a_sandbox_that_could_not_be_made() {
    let parent = tempfile::tempdir().unwrap();
    let settings = [("no_such_setting".to_owned(), "1".to_owned())].into();
    let error = Sandbox::up(&Options { settings, ..options(&parent) }).unwrap_err();
    let SandboxError::Program { output, .. } = &error else { panic!("{error}") };
    assert!(output.contains("no_such_setting"), "{output}");
    assert!(!parent.path().join("sandbox").exists());
}

#[test]
fn a_database_name_that_would_need_quotes_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    for name in ["", "Shop", "a b", "1a", "a;drop"] {
        let error = Sandbox::up(&Options { database: name.to_owned(), ..options(&parent) });
        assert!(matches!(error, Err(SandboxError::DatabaseName { .. })), "{name}");
    }
}
