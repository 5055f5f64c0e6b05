//! The socket file of the link.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use mio::net::UnixListener;

/// `sun_path` of `sockaddr_un` holds 108 bytes, one of them the zero at the end.
const MAX_PATH: usize = 107;

/// Listens at `path`, for the owner alone. A socket file that nobody answers on is replaced.
///
/// # Errors
/// One sentence: the path is too long, is something else, or another dataplane answers there.
pub fn bind_socket(path: &Path) -> Result<UnixListener, String> {
    let shown = path.display();
    let length = path.as_os_str().as_bytes().len();
    if length > MAX_PATH {
        return Err(format!("the socket path {shown} has {length} bytes, and the kernel takes at most {MAX_PATH}: choose a shorter one"));
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(format!("the socket {shown} cannot be looked at: {error}")),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(format!("{shown} is there and is not a socket")),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => return Err(format!("another dataplane answers on the socket {shown}")),
            Err(_) => fs::remove_file(path).map_err(|error| format!("the stale socket {shown} cannot be removed: {error}"))?,
        },
    }
    let listener = UnixListener::bind(path).map_err(|error| format!("the socket {shown} cannot be made: {error}"))?;
    // Until this takes effect others may connect; each connection's user is checked all the same.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|error| format!("the socket {shown} cannot be protected: {error}"))?;
    Ok(listener)
}
