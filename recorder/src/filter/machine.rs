//! The kernel's machine for classic BPF, to run programs in tests (Linux, Documentation/networking/filter.rst).

use super::Instruction;

/// A packet, and what the kernel tells beside it.
#[derive(Debug, Clone, Default)]
pub struct Input<'a> {
    pub frame: &'a [u8],
    /// Where the network header begins.
    pub network_at: usize,
    pub protocol: u16,
    /// The tag that was taken out.
    pub vlan: Option<u16>,
    pub hardware: u16,
    pub direction: u32,
    pub interface_index: u32,
}

impl Input<'_> {
    fn load(&self, at: u32, bytes: usize) -> Option<u32> {
        let signed = at.cast_signed();
        let ancillary = |what: i32| libc::SKF_AD_OFF + what;
        match signed {
            _ if signed == ancillary(libc::SKF_AD_PROTOCOL) => return Some(self.protocol.into()),
            _ if signed == ancillary(libc::SKF_AD_HATYPE) => return Some(self.hardware.into()),
            _ if signed == ancillary(libc::SKF_AD_PKTTYPE) => return Some(self.direction),
            _ if signed == ancillary(libc::SKF_AD_IFINDEX) => return Some(self.interface_index),
            _ if signed == ancillary(libc::SKF_AD_VLAN_TAG) => return Some(self.vlan.unwrap_or(0).into()),
            _ if signed == ancillary(libc::SKF_AD_VLAN_TAG_PRESENT) => return Some(self.vlan.is_some().into()),
            _ => {}
        }
        let at = match signed {
            0.. => at as usize,
            _ if signed >= libc::SKF_NET_OFF => self.network_at + (signed - libc::SKF_NET_OFF) as usize,
            _ => return None,
        };
        let word = self.frame.get(at..)?.get(..bytes)?;
        Some(word.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }
}

/// Bytes of the packet that are kept; none when a load went beyond it, which the kernel takes for 0.
pub fn run(program: &[Instruction], input: &Input<'_>) -> Option<u32> {
    let (mut a, mut x, mut at) = (0u32, 0u32, 0usize);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        let code = u32::from(code);
        let operand = if code & libc::BPF_X != 0 { x } else { k };
        let size = match code & 0x18 {
            libc::BPF_W => 4,
            libc::BPF_H => 2,
            _ => 1,
        };
        at += 1;
        let mut jump = |truth: bool| at += usize::from(if truth { jt } else { jf });
        match code & 0x07 {
            libc::BPF_RET => return Some(k),
            libc::BPF_LD => {
                a = match code & 0xe0 {
                    libc::BPF_ABS => input.load(k, size)?,
                    libc::BPF_IND => input.load(x.wrapping_add(k), size)?,
                    libc::BPF_LEN => input.frame.len() as u32,
                    mode => panic!("load with mode {mode:#x}"),
                }
            }
            libc::BPF_LDX if code & 0xe0 == libc::BPF_MSH => x = 4 * (input.load(k, 1)? & 0x0f),
            libc::BPF_LDX if code & 0xe0 == libc::BPF_IMM => x = k,
            libc::BPF_ALU => match code & 0xf0 {
                libc::BPF_ADD => a = a.wrapping_add(operand),
                libc::BPF_AND => a &= operand,
                libc::BPF_MUL => a = a.wrapping_mul(operand),
                libc::BPF_SUB => a = a.wrapping_sub(operand),
                operation => panic!("calculates {operation:#x}"),
            },
            libc::BPF_JMP => match code & 0xf0 {
                libc::BPF_JA => at += k as usize,
                libc::BPF_JEQ => jump(a == operand),
                libc::BPF_JGE => jump(a >= operand),
                libc::BPF_JGT => jump(a > operand),
                libc::BPF_JSET => jump(a & operand != 0),
                test => panic!("tests {test:#x}"),
            },
            libc::BPF_MISC if code & 0xf8 == libc::BPF_TAX => x = a,
            _ => panic!("does {code:#x}"),
        }
    }
}
