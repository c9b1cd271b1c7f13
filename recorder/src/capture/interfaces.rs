//! Which interfaces there are, which were chosen, and how a segment describes them.

use super::CaptureError;
use super::block::Link;
use super::sys;
use crate::limits;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The interfaces to capture on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All there are and will be.
    Any,
    /// Those of these names, whenever they are there.
    Named(Vec<String>),
}

impl Selection {
    /// What was typed: names, of which `any` means all.
    ///
    /// # Bounds
    /// [`limits::INTERFACES_NAMED_MAX`] names.
    pub fn new(names: &[String]) -> Result<Self, CaptureError> {
        if names.is_empty() || names.iter().any(|name| name == "any") {
            return Ok(Self::Any);
        }
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        let (named, max) = (names.len(), limits::INTERFACES_NAMED_MAX);
        if named > max { Err(CaptureError::TooManyInterfaces { named, max }) } else { Ok(Self::Named(names)) }
    }

    /// Indexes of the named ones that are there now, in order of names.
    pub(super) fn present(&self) -> Vec<u32> {
        match self {
            Self::Any => Vec::new(),
            Self::Named(names) => names.iter().filter_map(|name| sys::interface_index(name)).collect(),
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Named(names) => f.write_str(&names.join(", ")),
        }
    }
}

/// Names of all interfaces of this network namespace.
pub(super) fn all_names() -> String {
    let mut names: Vec<_> = sys::interfaces().into_iter().map(|(_, name)| name).collect();
    names.sort_unstable();
    names.join(", ")
}

/// An interface as a segment describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its index, as long as it lives.
    pub index: u32,
    /// What kind of link it is: `ARPHRD_…`.
    pub hardware: u16,
    /// Its name.
    pub name: String,
    /// What the administrator wrote down for it; none if nothing.
    pub alias: Option<String>,
}

impl Interface {
    fn new(index: u32, hardware: u16, name: String) -> Self {
        // The name comes from the kernel, which lets no slash into one (dev_valid_name).
        let alias = std::fs::read_to_string(format!("/sys/class/net/{name}/ifalias")).unwrap_or_default();
        let alias = Some(alias.trim().to_owned()).filter(|alias| !alias.is_empty());
        Self { index, hardware, name, alias }
    }
}

/// The interfaces described in the segment at hand; each has the number its packets refer to.
#[derive(Debug, Default)]
pub struct Interfaces {
    described: Arc<Vec<Interface>>,
    /// Number by index, for those that are as when they were described; the last used first.
    current: Vec<(u32, u16, u32)>,
    /// Names by index, also of those that are gone: their packets may still be in the ring.
    names: HashMap<u32, String>,
    /// Counts the lists begun: packets of one list do not go into a segment with another.
    list: u32,
}

impl Interfaces {
    /// Starts with those named, so that a segment without packets says where there were none.
    pub fn new(selection: &Selection) -> Self {
        let mut interfaces = Self::default();
        interfaces.look_again();
        for index in selection.present() {
            if let Some(name) = interfaces.names.get(&index) {
                let hardware = std::fs::read_to_string(format!("/sys/class/net/{name}/type"));
                let hardware = hardware.ok().and_then(|text| text.trim().parse().ok());
                interfaces.number(index, hardware.unwrap_or(libc::ARPHRD_ETHER));
            }
        }
        interfaces
    }

    /// All described so far, by number.
    pub fn described(&self) -> &Arc<Vec<Interface>> {
        &self.described
    }

    /// Which list this is: it changes when numbers begin anew.
    pub fn list(&self) -> u32 {
        self.list
    }

    /// The number of the interface a packet was seen on.
    pub fn number_of(&mut self, link: &Link) -> u32 {
        match self.current.first() {
            Some(&(index, hardware, number)) if (index, hardware) == (link.interface_index, link.hardware) => number,
            _ => self.number(link.interface_index, link.hardware),
        }
    }

    fn number(&mut self, index: u32, hardware: u16) -> u32 {
        if let Some(place) = self.current.iter().position(|known| (known.0, known.1) == (index, hardware)) {
            self.current.swap(0, place);
            return self.current[0].2;
        }
        let name = self.names.get(&index).cloned().unwrap_or_else(|| format!("#{index}"));
        let interface = Interface::new(index, hardware, name);
        let number = match self.described.iter().position(|known| *known == interface) {
            Some(number) => number,
            None => {
                let described = Arc::make_mut(&mut self.described);
                described.push(interface);
                described.len() - 1
            }
        } as u32;
        self.current.insert(0, (index, hardware, number));
        number
    }

    /// Interfaces appeared, vanished or changed their names: looks what they are called now.
    pub fn look_again(&mut self) {
        self.current.clear();
        if self.names.len() > limits::INTERFACES_DESCRIBED_MAX {
            self.names.clear(); // Of those that are gone.
        }
        self.names.extend(sys::interfaces());
    }

    /// Whether the list is full: then a new segment and [`Interfaces::begin_list`] are due.
    pub fn is_full(&self) -> bool {
        self.described.len() >= limits::INTERFACES_DESCRIBED_MAX
    }

    /// Forgets all interfaces and numbers them anew.
    pub fn begin_list(&mut self) {
        self.current.clear();
        self.described = Arc::default();
        self.list += 1;
    }
}
