use std::process::ExitCode;

use bazgasht::cli::Cli;
use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let in_json = cli.logs_json();
    match cli.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.to_string();
            let text = bazgasht::redact::redacted(&text);
            if in_json {
                tracing::error!(exit_code = error.exit_code(), "{text}");
            } else {
                let prefix = if text.starts_with("error") { "" } else { "error: " };
                eprintln!("{prefix}{text}");
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(70))
        }
    }
}
