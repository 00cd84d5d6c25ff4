//! Values for the parameters of statements.

/// A value for a parameter. Its type is known also where it is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound<'a> {
    /// A whole number, or a truth: 0 or 1.
    Int(Option<i64>),
    /// Text.
    Text(Option<&'a str>),
    /// Bytes.
    Bytes(Option<&'a [u8]>),
    /// A moment in the form of the table `users`, `YYYY-MM-DD HH:MM:SS` in UTC.
    Timestamp(Option<&'a str>),
}

/// What can be the value of a parameter.
pub(crate) trait Param {
    /// `value`, or null of the same type.
    fn bound(value: Option<&Self>) -> Bound<'_>;
}

impl Param for i64 {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        Bound::Int(value.copied())
    }
}

impl Param for u32 {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        Bound::Int(value.map(|value| i64::from(*value)))
    }
}

impl Param for bool {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        Bound::Int(value.map(|value| i64::from(*value)))
    }
}

impl Param for str {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        Bound::Text(value)
    }
}

impl Param for String {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        Bound::Text(value.map(String::as_str))
    }
}

impl Param for [u8] {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        Bound::Bytes(value)
    }
}

impl<const N: usize> Param for [u8; N] {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        Bound::Bytes(value.map(<[u8; N]>::as_slice))
    }
}

impl Param for Vec<u8> {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        Bound::Bytes(value.map(Vec::as_slice))
    }
}

impl<T: Param + ?Sized> Param for &T {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        T::bound(value.map(|value| &**value))
    }
}

impl<T: Param> Param for Option<T> {
    fn bound(value: Option<&Self>) -> Bound<'_> {
        T::bound(value.and_then(Option::as_ref))
    }
}

/// A value whose type is known when the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    const fn bound(&self) -> Bound<'_> {
        match self {
            Self::Int(number) => Bound::Int(Some(*number)),
            Self::Text(text) => Bound::Text(Some(text.as_str())),
            Self::Bytes(bytes) => Bound::Bytes(Some(bytes.as_slice())),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

/// The values of all parameters of a statement, in their order.
pub(crate) trait Params {
    /// Calls `run` with them.
    fn with<R>(self, run: impl FnOnce(&[Bound<'_>]) -> R) -> R;
}

impl<T: Param, const N: usize> Params for [T; N] {
    fn with<R>(self, run: impl FnOnce(&[Bound<'_>]) -> R) -> R {
        run(&self.each_ref().map(|value| T::bound(Some(value))))
    }
}

impl Params for &[Value] {
    fn with<R>(self, run: impl FnOnce(&[Bound<'_>]) -> R) -> R {
        run(&self.iter().map(Value::bound).collect::<Vec<_>>())
    }
}

impl Params for Value {
    fn with<R>(self, run: impl FnOnce(&[Bound<'_>]) -> R) -> R {
        run(&[self.bound()])
    }
}

impl Params for () {
    fn with<R>(self, run: impl FnOnce(&[Bound<'_>]) -> R) -> R {
        run(&[])
    }
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {
        $(impl<$($name: Param),+> Params for ($($name,)+) {
            fn with<R>(self, run: impl FnOnce(&[Bound<'_>]) -> R) -> R {
                #[expect(non_snake_case, reason = "each value has the name of its type")]
                let ($($name,)+) = self;
                run(&[$($name::bound(Some(&$name))),+])
            }
        })+
    };
}

tuples! {
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
    (A B C D E F G H I)
    (A B C D E F G H I J)
    (A B C D E F G H I J K)
    (A B C D E F G H I J K L)
    (A B C D E F G H I J K L M)
    (A B C D E F G H I J K L M N)
}
