//! Which interfaces there are, which were chosen, and how a segment describes them.

use super::CaptureError;
use super::block::Link;
use super::links::Found;
use crate::limits;
use formats::pcapng::{Point, Target};
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

    /// Those of `there` that are named, in order of names; none where all are wanted.
    pub(super) fn named<'a>(&self, there: &'a [Found]) -> Vec<&'a Found> {
        match self {
            Self::Any => Vec::new(),
            Self::Named(names) => {
                names.iter().filter_map(|name| there.iter().find(|link| link.name == *name)).collect()
            }
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

/// An interface as a segment describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its index, as long as it lives.
    pub index: u32,
    /// What kind of link it is: `ARPHRD_…`.
    pub hardware: u16,
    /// What it is called, and whose it is.
    pub point: Arc<Point>,
}

/// The interfaces described in the segment at hand; each has the number its packets refer to.
#[derive(Debug, Default)]
pub struct Interfaces {
    described: Arc<Vec<Interface>>,
    /// Counts the lists begun: packets of one list do not go into a segment with another.
    list: u32,
}

impl Interfaces {
    /// All described so far, by number.
    pub fn described(&self) -> &Arc<Vec<Interface>> {
        &self.described
    }

    /// Which list this is: it changes when numbers begin anew.
    pub fn list(&self) -> u32 {
        self.list
    }

    /// Whether the list is full: then a new segment and [`Interfaces::begin_list`] are due.
    pub fn is_full(&self) -> bool {
        self.described.len() >= limits::INTERFACES_DESCRIBED_MAX
    }

    /// Forgets all interfaces and numbers them anew.
    pub fn begin_list(&mut self) {
        self.described = Arc::default();
        self.list += 1;
    }

    fn number(&mut self, interface: Interface) -> u32 {
        let known = self.described.iter().position(|known| *known == interface);
        known.unwrap_or_else(|| {
            let described = Arc::make_mut(&mut self.described);
            described.push(interface);
            described.len() - 1
        }) as u32
    }
}

/// The numbers of the interfaces of one target.
#[derive(Debug)]
pub struct Numbers {
    target: Arc<Target>,
    /// Number by index and kind, for those that are as when they were described; the last used first.
    current: Vec<(u32, u16, u32)>,
    /// The list they are of.
    list: u32,
    /// All that were there, by index, also those that are gone: their packets may still be in the ring.
    known: HashMap<u32, Found>,
}

impl Numbers {
    /// Of a target with these interfaces. Those chosen by name are described from the start, so that a segment without
    /// packets says where there were none.
    pub fn new(target: Arc<Target>, there: Vec<Found>, selection: &Selection, all: &mut Interfaces) -> Self {
        let mut numbers = Self { target, current: Vec::new(), list: all.list, known: HashMap::new() };
        for link in selection.named(&there) {
            all.number(numbers.interface(link.index, link.hardware, Some(link)));
        }
        numbers.look_again(there);
        numbers
    }

    /// Whose interfaces these are.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The number of the interface a packet was seen on.
    pub fn number_of(&mut self, link: &Link, all: &mut Interfaces) -> u32 {
        match self.current.first() {
            Some(&(index, hardware, number))
                if (index, hardware, all.list) == (link.interface_index, link.hardware, self.list) =>
            {
                number
            }
            _ => self.number(link.interface_index, link.hardware, all),
        }
    }

    fn number(&mut self, index: u32, hardware: u16, all: &mut Interfaces) -> u32 {
        if self.list != all.list {
            self.current.clear();
            self.list = all.list;
        }
        if let Some(place) = self.current.iter().position(|known| (known.0, known.1) == (index, hardware)) {
            self.current.swap(0, place);
            return self.current[0].2;
        }
        let number = all.number(self.interface(index, hardware, self.known.get(&index)));
        self.current.insert(0, (index, hardware, number));
        number
    }

    fn interface(&self, index: u32, hardware: u16, known: Option<&Found>) -> Interface {
        let point = Point {
            target: Target::clone(&self.target),
            interface: known.map_or_else(|| format!("#{index}"), |known| known.name.clone()),
            alias: known.and_then(|known| known.alias.clone()),
        };
        Interface { index, hardware, point: Arc::new(point) }
    }

    /// Interfaces appeared, vanished or changed their names: these are there now.
    pub fn look_again(&mut self, there: Vec<Found>) {
        self.current.clear();
        if self.known.len() > limits::INTERFACES_DESCRIBED_MAX {
            self.known.clear(); // Of those that are gone.
        }
        self.known.extend(there.into_iter().map(|link| (link.index, link)));
    }
}
