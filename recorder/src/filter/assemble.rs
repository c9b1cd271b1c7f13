//! Classic BPF, put together from its end (Linux, Documentation/networking/filter.rst).
//!
//! All jumps of classic BPF lead forward. Written from the end, every target is already in its place when
//! a jump to it is written, and no second pass is needed.

/// One instruction: `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip when a test is true.
    pub jt: u8,
    /// Instructions to skip when it is false.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// A place in a program: how many instructions there are from it to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// Loads into the accumulator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// The length of the packet.
    Length,
    /// A byte.
    U8(u32),
    /// Two bytes, as a number.
    U16(u32),
    /// Two bytes behind the offset in the index register.
    U16Indexed(u32),
    /// Four bytes, as a number.
    U32(u32),
}

/// Tests of the accumulator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// Has a bit in common with.
    AnyBit(u32),
    /// At least.
    AtLeast(u32),
    /// At least what is in the index register.
    AtLeastIndex,
    /// Equal to.
    Equal(u32),
}

/// A program, the last instruction first.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    reversed: Vec<Instruction>,
}

impl Assembler {
    /// The program that begins at `entry`.
    pub fn finish(mut self, entry: Label) -> Vec<Instruction> {
        self.go_to(entry);
        self.reversed.reverse();
        self.reversed
    }

    /// Ends with `bytes` of the packet kept; 0 refuses it.
    pub fn keep(&mut self, bytes: u32) -> Label {
        self.put(libc::BPF_RET | libc::BPF_K, 0, 0, bytes)
    }

    /// Loads, then goes on at `next`.
    pub fn load(&mut self, what: Load, next: Label) -> Label {
        let (size_and_mode, k) = match what {
            Load::Length => (libc::BPF_W | libc::BPF_LEN, 0),
            Load::U8(at) => (libc::BPF_B | libc::BPF_ABS, at),
            Load::U16(at) => (libc::BPF_H | libc::BPF_ABS, at),
            Load::U16Indexed(at) => (libc::BPF_H | libc::BPF_IND, at),
            Load::U32(at) => (libc::BPF_W | libc::BPF_ABS, at),
        };
        self.step(libc::BPF_LD | size_and_mode, k, next)
    }

    /// Loads the length of the IPv4 header at `at` into the index register: four times its low four bits.
    pub fn load_header_length(&mut self, at: u32, next: Label) -> Label {
        self.step(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, at, next)
    }

    /// Keeps only the bits of `mask`.
    pub fn mask(&mut self, mask: u32, next: Label) -> Label {
        self.step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask, next)
    }

    /// Subtracts.
    pub fn subtract(&mut self, amount: u32, next: Label) -> Label {
        self.step(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_K, amount, next)
    }

    /// Multiplies.
    pub fn multiply(&mut self, factor: u32, next: Label) -> Label {
        self.step(libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K, factor, next)
    }

    /// Adds the index register.
    pub fn add_index(&mut self, next: Label) -> Label {
        self.step(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X, 0, next)
    }

    /// Copies the accumulator into the index register.
    pub fn copy_to_index(&mut self, next: Label) -> Label {
        self.step(libc::BPF_MISC | libc::BPF_TAX, 0, next)
    }

    /// Goes on at `yes` or at `no`.
    pub fn test(&mut self, test: Test, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        let (code, k) = match test {
            Test::AnyBit(bits) => (libc::BPF_JSET | libc::BPF_K, bits),
            Test::AtLeast(least) => (libc::BPF_JGE | libc::BPF_K, least),
            Test::AtLeastIndex => (libc::BPF_JGE | libc::BPF_X, 0),
            Test::Equal(value) => (libc::BPF_JEQ | libc::BPF_K, value),
        };
        // A test skips at most 255 instructions, and reaches further over a plain jump right behind it. Two of
        // those may come in between.
        let near = |label: Label, len: usize| len + 2 - label.0 <= usize::from(u8::MAX);
        let no = if near(no, self.reversed.len()) { no } else { self.jump(no) };
        let yes = if near(yes, self.reversed.len()) { yes } else { self.jump(yes) };
        let skip = |label: Label| (self.reversed.len() - label.0) as u8;
        self.put(libc::BPF_JMP | code, skip(yes), skip(no), k)
    }

    fn step(&mut self, code: u32, k: u32, next: Label) -> Label {
        self.go_to(next);
        self.put(code, 0, 0, k)
    }

    /// Makes `next` the instruction that what is written now runs into.
    fn go_to(&mut self, next: Label) {
        if next.0 != self.reversed.len() {
            self.jump(next);
        }
    }

    fn jump(&mut self, to: Label) -> Label {
        let skip = (self.reversed.len() - to.0) as u32;
        self.put(libc::BPF_JMP | libc::BPF_JA, 0, 0, skip)
    }

    fn put(&mut self, code: u32, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code: code as u16, jt, jf, k });
        Label(self.reversed.len())
    }
}
