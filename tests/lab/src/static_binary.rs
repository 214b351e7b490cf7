//! The release build as it is shipped: static, for an empty root. Cargo keeps it below the target folder for the next run.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Exporter, cargo, succeed};

/// Builds it, if that was not done yet; its path.
pub fn static_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        // target/debug/veth-exporter is the test's own.
        let folder =
            Path::new(Exporter::binary()).ancestors().nth(2).expect("a target folder").join("static");
        let mut build = cargo();
        build.args(["build", "--locked", "--offline", "--release", "--target", &target]);
        build.env("CARGO_TARGET_DIR", &folder).env("RUSTFLAGS", "-C target-feature=+crt-static");
        succeed(&mut build);
        folder.join(target).join("release/veth-exporter")
    })
}
