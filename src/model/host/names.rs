//! Whether the folder of named namespaces is being read.

/// The state of that.
#[derive(Debug, Default)]
pub(super) struct NamesReading {
    /// A namespace has got an id since names were asked for.
    pub wanted: bool,
    /// Names are being read because something asked outside of a tick.
    pub asked: bool,
    /// Something has asked again since.
    pub asked_again: bool,
    /// Each name that comes or goes is reported.
    pub watched: bool,
}
