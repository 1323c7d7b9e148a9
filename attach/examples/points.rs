//! Prints what is known of the libuv in a process, or in a file: `cargo run -p loopscope-attach --example points -- PID`.

#![expect(clippy::print_stdout, reason = "an example reports on standard output")]

use std::fs::File;

use loopscope_attach::libuv::image::{Image, Points};
use loopscope_attach::libuv::locate::Images;
use loopscope_attach::target::{Pid, Process};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let what = std::env::args().nth(1).ok_or("the id of a process, or the path of a file, is missing")?;
    let Ok(pid) = what.parse::<Pid>() else {
        match Image::read_file(&File::open(&what)?)? {
            Some(image) => show(&image),
            None => println!("{what} has no libuv"),
        }
        return Ok(());
    };
    let began = std::time::Instant::now();
    let Some(located) = Images::default().locate(&Process::open(pid)?)? else {
        println!("process {pid} has no libuv");
        return Ok(());
    };
    println!("found in {:?}", began.elapsed());
    for part in [Some(&located.libuv), located.engine.as_ref()].into_iter().flatten() {
        println!("{} at bias {:#x}, opened as {}", part.shown_path, part.bias, part.path.display());
        show(&part.image);
    }
    Ok(())
}

fn show(image: &Image) {
    println!("{:?}, version {:?}, {} classes", image.machine, image.version, image.points.classes.len());
    let points = Points { classes: [].into(), ..image.points.clone() };
    println!("{:#x?}\n{points:#x?}\nmissing: {:#?}", image.state, image.missing);
}
