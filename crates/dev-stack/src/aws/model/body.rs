//! The XML bodies of S3's writes, element by element.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Field, Member, Service, Shape, check_member, s3_operation};

/// An element without its attributes: no request that is sent here has any that matter.
#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

/// Whether the body of this operation is XML, and not the bytes of an object.
pub(crate) fn has_xml_body(operation: &str) -> bool {
    payload(operation).is_some()
}

/// Checks the XML body of an operation of S3; operations without one pass.
pub(crate) fn check_xml(operation: &str, body: &[u8]) -> Result<(), String> {
    let Some((service, name, member, is_required)) = payload(operation) else {
        return Ok(());
    };
    if body.is_empty() && !is_required {
        return Ok(());
    }
    let root =
        parse(body).map_err(|error| format!("the body of {operation} is no XML: {error}"))?;
    let wanted = member.location_name.as_deref().unwrap_or(name);
    if root.name != wanted {
        return Err(format!(
            "the body of {operation} must be a {wanted}, not a {}",
            root.name
        ));
    }
    let field = field(service, &service.shapes[&member.shape], wanted, &root)?;
    check_member(service, member, wanted, &field)
}

/// The member of an operation's input that is an XML body, and whether it must be there.
fn payload(operation: &str) -> Option<(&'static Service, &'static str, &'static Member, bool)> {
    let (service, _, input) = s3_operation(operation)?;
    let name = input.payload.as_ref()?;
    let member = &input.members[name];
    let is_structure = service.shapes[&member.shape].r#type == "structure";
    is_structure.then(|| {
        (
            service,
            name.as_str(),
            member,
            input.required.contains(name),
        )
    })
}

/// An element as the shape reads it, with the model's own names.
fn field(service: &Service, shape: &Shape, path: &str, element: &Element) -> Result<Field, String> {
    match shape.r#type.as_str() {
        "structure" => structure(service, shape, path, element),
        "list" => {
            let wanted = item_name(shape);
            if let Some(other) = element.children.iter().find(|child| child.name != wanted) {
                return Err(format!(
                    "{path} is a list of {wanted}, not of {}",
                    other.name
                ));
            }
            items(service, shape, path, element.children.iter())
        }
        _ if element.children.is_empty() => Ok(Field::Text(element.text.clone())),
        other => Err(format!("{path} must be a {other}")),
    }
}

fn structure(
    service: &Service,
    shape: &Shape,
    path: &str,
    element: &Element,
) -> Result<Field, String> {
    let mut known = 0;
    let mut fields = BTreeMap::new();
    for (name, member) in &shape.members {
        let below = &service.shapes[&member.shape];
        let own = match &member.location_name {
            Some(own) => own.as_str(),
            None if below.flattened => item_name(below),
            None => name,
        };
        let found: Vec<_> = element
            .children
            .iter()
            .filter(|child| child.name == own)
            .collect();
        known += found.len();
        let path = format!("{path}.{name}");
        let value = match found.as_slice() {
            [] => continue,
            all if below.flattened => items(service, below, &path, all.iter().copied())?,
            [one] => field(service, below, &path, one)?,
            _ => return Err(format!("{path} is there {} times", found.len())),
        };
        fields.insert(name.clone(), value);
    }
    if known < element.children.len() {
        let names: Vec<_> = element.children.iter().map(|child| &*child.name).collect();
        return Err(format!(
            "Unknown parameter in {path}, which has {}",
            names.join(", ")
        ));
    }
    Ok(Field::Fields(fields))
}

fn items<'elements>(
    service: &Service,
    shape: &Shape,
    path: &str,
    elements: impl Iterator<Item = &'elements Element>,
) -> Result<Field, String> {
    let member = super::item(shape, path)?;
    let below = &service.shapes[&member.shape];
    let items = elements.map(|element| field(service, below, path, element));
    items.collect::<Result<_, _>>().map(Field::Items)
}

fn item_name(list: &Shape) -> &str {
    let member = list.member.as_ref();
    member
        .and_then(|member| member.location_name.as_deref())
        .unwrap_or("member")
}

fn parse(body: &[u8]) -> Result<Element, String> {
    let mut reader = Reader::from_reader(body);
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match event {
            Event::Start(start) => open.push(named(&start)),
            Event::Empty(start) => close(&mut open, named(&start))?,
            Event::End(_) => {
                let done = open.pop().ok_or("an end without a beginning")?;
                close(&mut open, done)?;
            }
            Event::Text(text) => {
                let text = text.decode().map_err(|error| error.to_string())?;
                let inner = open.last_mut().ok_or("a text outside of everything")?;
                inner.text.push_str(text.trim());
            }
            // `&quot;` around an ETag: what it stands for decides nothing here.
            Event::GeneralRef(_) => {
                let inner = open.last_mut().ok_or("a text outside of everything")?;
                inner.text.push('?');
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match open.pop() {
        Some(mut outside) if open.is_empty() && outside.children.len() == 1 => {
            outside.children.pop().ok_or_else(String::new)
        }
        _ => Err("not one element, closed".to_owned()),
    }
}

fn named(start: &BytesStart<'_>) -> Element {
    Element {
        name: String::from_utf8_lossy(start.local_name().as_ref()).into_owned(),
        ..Element::default()
    }
}

fn close(open: &mut [Element], done: Element) -> Result<(), String> {
    let around = open.last_mut().ok_or("an end without a beginning")?;
    around.children.push(done);
    Ok(())
}
