//! Types of the elements of arrays: every scalar type of PostgreSQL's own; enums are the user's.

use crate::LogicalType;

/// Defines [`Element`] with the variants of [`LogicalType`] that are named here, and both ways between them.
macro_rules! elements {
    (plain: $($plain:ident)* ; modified: $($modified:ident($modifier:ty))*) => {
        /// The type of an array's elements; each variant is that of [`LogicalType`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "as those of LogicalType")]
        pub enum Element {
            $($plain,)*
            $($modified($modifier),)*
        }

        impl Element {
            /// The type of one element.
            pub const fn scalar(self) -> LogicalType {
                match self {
                    $(Self::$plain => LogicalType::$plain,)*
                    $(Self::$modified(modifier) => LogicalType::$modified(modifier),)*
                }
            }
        }

        impl LogicalType {
            /// As the elements of an array; `None` for what cannot stand in one.
            pub const fn as_element(self) -> Option<Element> {
                match self {
                    $(Self::$plain => Some(Element::$plain),)*
                    $(Self::$modified(modifier) => Some(Element::$modified(modifier)),)*
                    Self::Array(_) | Self::Enum(_) => None,
                }
            }
        }
    };
}

elements! {
    plain: Bool Int2 Int4 Int8 Float4 Float8 Text Bytea Date Time Timestamp Timestamptz Uuid Interval Json Jsonb Inet Cidr;
    modified: Numeric(Option<(u16, u16)>) Varchar(Option<u32>) Bpchar(Option<u32>)
}

impl LogicalType {
    /// The type of the elements, where it is an array.
    pub const fn element(self) -> Option<Self> {
        if let Self::Array(element) = self { Some(element.scalar()) } else { None }
    }
}
