//! Amazon resource names, as far as identities need them.

/// A parsed ARN that borrows its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    pub(crate) service: &'a str,
    pub(crate) account: &'a str,
    pub(crate) resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits an ARN, or gives nothing when it is not one.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next()? != "arn" || parts.next()?.is_empty() {
            return None;
        }
        let service = parts.next()?;
        let _region = parts.next()?;
        let account = parts.next()?;
        let resource = parts.next().filter(|resource| !resource.is_empty())?;
        Some(Self {
            service,
            account,
            resource,
        })
    }

    /// `user`, `role`, `group`, `assumed-role`, `federated-user` or `root`.
    pub(crate) fn resource_type(&self) -> &'a str {
        self.resource
            .split_once('/')
            .map_or(self.resource, |(kind, _)| kind)
    }

    /// The last segment: a user's or role's name without its path.
    pub(crate) fn name(&self) -> &'a str {
        self.resource
            .rsplit_once('/')
            .map_or(self.resource, |(_, name)| name)
    }

    /// The path of a user or role, `/` when it has none.
    pub(crate) fn path(&self) -> &'a str {
        let start = self.resource.find('/').unwrap_or(0);
        let end = self.resource.rfind('/').map_or(0, |slash| slash + 1);
        self.resource
            .get(start..end)
            .filter(|path| !path.is_empty())
            .unwrap_or("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names() {
        let arn = Arn::parse("arn:aws:iam::123456789012:role/team/data/Reader").unwrap();
        assert_eq!(
            (arn.resource_type(), arn.path(), arn.name()),
            ("role", "/team/data/", "Reader")
        );
        let arn = Arn::parse("arn:aws:iam::123456789012:user/ada").unwrap();
        assert_eq!((arn.path(), arn.name()), ("/", "ada"));
        assert_eq!(Arn::parse("arn:aws:iam::1"), None);
        assert_eq!(Arn::parse("user/ada"), None);
    }
}
