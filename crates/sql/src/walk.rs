//! Visits every node of a parse tree, whatever its type, by way of its serialisation: no node type can be forgotten.

use serde::ser::{self, Serialize};

/// Is told everything in a tree, in order.
pub(crate) trait Visit {
    /// A node or struct of this type begins.
    fn enter(&mut self, name: &'static str);
    /// A field of the innermost node begins.
    fn field(&mut self, name: &'static str);
    /// The innermost node ends.
    fn leave(&mut self);
    /// A text inside the current field.
    fn text(&mut self, text: &str);
    /// A number inside the current field; floats as their bits.
    fn number(&mut self, number: i64);
}

/// Visits a tree. A tree of the parser always can be.
pub(crate) fn walk<T: Serialize + ?Sized>(tree: &T, visit: &mut dyn Visit) -> Result<(), Never> {
    tree.serialize(Walk(visit))
}

/// Serialisation that fails; the parser's types never do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Never(String);

impl ser::Error for Never {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct Walk<'a>(&'a mut dyn Visit);

struct Inside<'a>(&'a mut dyn Visit);

macro_rules! number {
    ($($method:ident: $ty:ty),*) => {
        $(fn $method(self, value: $ty) -> Result<(), Never> {
            self.0.number(i64::from(value));
            Ok(())
        })*
    };
}

impl<'a> ser::Serializer for Walk<'a> {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = Inside<'a>;
    type SerializeTuple = Inside<'a>;
    type SerializeTupleStruct = Inside<'a>;
    type SerializeTupleVariant = Inside<'a>;
    type SerializeMap = Inside<'a>;
    type SerializeStruct = Inside<'a>;
    type SerializeStructVariant = Inside<'a>;

    number!(serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32);

    fn serialize_u64(self, value: u64) -> Result<(), Never> {
        self.0.number(value.cast_signed());
        Ok(())
    }
    fn serialize_f32(self, value: f32) -> Result<(), Never> {
        self.serialize_f64(f64::from(value))
    }
    fn serialize_f64(self, value: f64) -> Result<(), Never> {
        self.serialize_u64(value.to_bits())
    }
    fn serialize_char(self, value: char) -> Result<(), Never> {
        self.0.number(i64::from(u32::from(value)));
        Ok(())
    }
    fn serialize_str(self, value: &str) -> Result<(), Never> {
        self.0.text(value);
        Ok(())
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Never> {
        self.0.text(&String::from_utf8_lossy(value));
        Ok(())
    }
    fn serialize_none(self) -> Result<(), Never> {
        Ok(())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Never> {
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Never> {
        Ok(())
    }
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result<(), Never> {
        self.serialize_u32(index)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Never> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.0.number(i64::from(index));
        value.serialize(self)
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Inside<'a>, Never> {
        self.0.number(len.map_or(-1, |len| i64::try_from(len).unwrap_or(-1)));
        Ok(Inside(self.0))
    }
    fn serialize_tuple(self, len: usize) -> Result<Inside<'a>, Never> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Inside<'a>, Never> {
        self.serialize_seq(Some(len))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        len: usize,
    ) -> Result<Inside<'a>, Never> {
        self.serialize_seq(Some(len))
    }
    fn serialize_map(self, len: Option<usize>) -> Result<Inside<'a>, Never> {
        self.serialize_seq(len)
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Inside<'a>, Never> {
        self.0.enter(name);
        Ok(Inside(self.0))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        len: usize,
    ) -> Result<Inside<'a>, Never> {
        self.serialize_struct(name, len)
    }
}

macro_rules! elements {
    ($($trait:ident $method:ident),*) => {
        $(impl ser::$trait for Inside<'_> {
            type Ok = ();
            type Error = Never;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
                value.serialize(Walk(&mut *self.0))
            }
            fn end(self) -> Result<(), Never> {
                Ok(())
            }
        })*
    };
}
elements!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

impl ser::SerializeMap for Inside<'_> {
    type Ok = ();
    type Error = Never;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Never> {
        key.serialize(Walk(&mut *self.0))
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        value.serialize(Walk(&mut *self.0))
    }
    fn end(self) -> Result<(), Never> {
        Ok(())
    }
}

macro_rules! structs {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Inside<'_> {
            type Ok = ();
            type Error = Never;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Never> {
                self.0.field(key);
                value.serialize(Walk(&mut *self.0))
            }
            fn end(self) -> Result<(), Never> {
                self.0.leave();
                Ok(())
            }
        })*
    };
}
structs!(SerializeStruct, SerializeStructVariant);
