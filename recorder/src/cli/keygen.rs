//! `remora-recorder keygen`: a key to sign with, and the one to prove with.

use anyhow::Context;
use formats::signature::SecretKey;
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a key that signs seals, and the public key that proves them.
///
/// Both are files of minisign, without a password: guard the secret one. `record` and `run` sign with --sign-key,
/// `remora snapshot verify --public-key` proves.
#[derive(clap::Args)]
pub struct KeygenArgs {
    /// Where the secret key goes; the public key goes beside it, with '.pub' behind its name.
    #[arg(value_name = "FILE")]
    secret: PathBuf,
}

/// Makes both files; what is there is never overwritten.
pub fn run(args: &KeygenArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (mut id, mut seed) = ([0; 8], [0; 32]);
    let random = SystemRandom::new();
    let filled = random.fill(&mut id).and_then(|()| random.fill(&mut seed));
    filled.map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
    let (key, text) = SecretKey::generate(id, &seed);
    let mut public = args.secret.clone().into_os_string();
    public.push(".pub");
    write_new(&args.secret, 0o600, &text)?;
    write_new(Path::new(&public), 0o644, &key.public().to_text())?;
    writeln!(out, "key        {}", key.public().id())?;
    writeln!(out, "signs      {}", args.secret.display())?;
    writeln!(out, "proves     {}", Path::new(&public).display())?;
    Ok(ExitCode::SUCCESS)
}

fn write_new(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let file = File::options().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.with_context(|| path.display().to_string())
}

/// What signs, for the commands that seal.
#[derive(clap::Args, Debug, Clone)]
pub struct SignArgs {
    /// Sign seals with the secret key in this file [default: not signed].
    #[arg(long, env = "REMORA_SIGN_KEY", value_name = "FILE")]
    sign_key: Option<PathBuf>,
}

impl SignArgs {
    /// Reads the key.
    pub fn resolve(&self) -> anyhow::Result<Option<SecretKey>> {
        let read = |path: &PathBuf| -> anyhow::Result<SecretKey> { Ok(std::fs::read_to_string(path)?.parse()?) };
        self.sign_key.as_ref().map(|path| read(path).with_context(|| path.display().to_string())).transpose()
    }
}
