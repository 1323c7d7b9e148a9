//! A flamegraph: XML, with titles that tell a person what each frame stands for.

/// Reads how many samples the frame of all frames stands for.
///
/// # Panics
/// If the file is not well-formed.
pub fn total(text: &str) -> u64 {
    let document = roxmltree::Document::parse(text).expect("XML");
    let svg = document.root_element();
    assert_eq!(svg.tag_name().namespace(), Some("http://www.w3.org/2000/svg"));
    let all = svg
        .descendants()
        .find(|node| node.attribute("class") == Some("all"))
        .expect("the frame of all frames");
    let title = all.children().find_map(|child| child.text()).expect("its title");
    let count =
        title.strip_prefix("all\n").and_then(|rest| rest.split_once(" sample")).expect("a count of samples");
    count.0.replace(',', "").parse().expect("a number")
}
