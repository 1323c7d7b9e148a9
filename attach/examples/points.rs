//! Prints what is known of the libuv in a process: `cargo run -p loopscope-attach --example points -- PID`.

#![expect(clippy::print_stdout, reason = "an example reports on standard output")]

use loopscope_attach::libuv::locate::Images;
use loopscope_attach::target::{Pid, Process};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pid: Pid = std::env::args().nth(1).ok_or("the id of a process is missing")?.parse()?;
    let began = std::time::Instant::now();
    let Some(located) = Images::default().locate(&Process::open(pid)?)? else {
        println!("process {pid} has no libuv");
        return Ok(());
    };
    println!("found in {:?}", began.elapsed());
    for part in [Some(&located.libuv), located.engine.as_ref()].into_iter().flatten() {
        let image = &part.image;
        println!("{} at bias {:#x}, opened as {}", part.shown_path, part.bias, part.path.display());
        println!("version {:?}, {} classes", image.version, image.points.classes.len());
        println!("{:#x?}\n{:#x?}\nmissing: {:#?}", image.state, points(&image.points), image.missing);
    }
    Ok(())
}

fn points(points: &loopscope_attach::libuv::image::Points) -> loopscope_attach::libuv::image::Points {
    loopscope_attach::libuv::image::Points { classes: [].into(), ..points.clone() }
}
