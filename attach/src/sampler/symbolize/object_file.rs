//! The functions at addresses of one object file, from the best source that there is.

use super::image::Image;
use super::{Place, Symbols, debug_file, dwarf, symbol_table, unnamed};

/// The places of these ascending addresses of the file; only if it is to be thorough, by debug information.
pub(crate) fn resolve(image: &Image, addresses: &[u64], is_thorough: bool) -> Symbols {
    let mut symbols = Symbols::default();
    let Some(elf) = image.elf() else { return symbols };
    let debug_image = debug_file::find(image, &elf);
    let debug_elf = debug_image.as_ref().and_then(Image::elf);
    let best_elf = debug_elf.as_ref().unwrap_or(&elf);
    let debug_path = debug_image.as_ref().unwrap_or(image).path.as_deref();
    let shared_image = is_thorough.then(|| debug_file::find_shared(image, debug_path, best_elf)).flatten();
    let shared_elf = shared_image.as_ref().and_then(Image::elf);

    let names = symbol_table::names(best_elf, addresses);
    let mut places: Vec<Vec<Place>> = vec![Vec::new(); addresses.len()];
    if is_thorough {
        dwarf::resolve(best_elf, shared_elf.as_ref(), addresses, |index, found| {
            places[index] = combine(&mut symbols, names[index], found);
        });
    }
    for (places, name) in places.iter_mut().zip(names).filter(|(places, _)| places.is_empty()) {
        places.extend(name.map(|name| Place::of(symbols.function(name))));
    }
    let nameless: Vec<usize> = (0..addresses.len()).filter(|&index| places[index].is_empty()).collect();
    let starts = unnamed::starts(&elf, nameless.iter().map(|&index| addresses[index]));
    symbols.stripped = best_elf.elf_symbol_table().is_empty() && starts.iter().any(Option::is_some);
    let known = if symbols.stripped && symbol_table::publishes(&elf, b"uv_run") {
        image.libuv_functions()
    } else {
        &[]
    };
    for (index, start) in nameless.into_iter().zip(starts) {
        let Some(start) = start else { continue };
        let function = match known.binary_search_by_key(&start, |&(start, _)| start) {
            Ok(found) => symbols.strings.intern(known[found].1),
            Err(_) => symbols.strings.intern(&format!("fun_{start:x}")),
        };
        places[index].push(Place::of(function));
    }
    places.into_iter().for_each(|places| symbols.push(places));
    symbols
}

/// The places from the outermost inwards. The function that holds all is called what the symbol table calls it, for
/// so do other tools, and the debug information may have only part of its name. A place without a name is left out.
fn combine(symbols: &mut Symbols, name: Option<&[u8]>, places: &[dwarf::DebugPlace<'_>]) -> Vec<Place> {
    let outwards = places.iter().rev().enumerate();
    let place = |(depth, place): (usize, &dwarf::DebugPlace<'_>)| {
        let raw = name.filter(|_| depth == 0).or(place.name).filter(|raw| !raw.is_empty())?;
        Some(Place {
            function: symbols.function(raw),
            file: symbols.strings.intern(place.file.unwrap_or("")),
            line: place.line.unwrap_or(0),
            inlined: depth > 0,
        })
    };
    outwards.filter_map(place).collect()
}
