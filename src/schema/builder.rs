//! Flows to columns.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayBuilder as _, ArrayRef, RecordBatch, UInt32Array, UInt64Array},
    compute::take,
    datatypes::Schema,
};

use super::{
    schema,
    stored::{Builder, Stored, mistyped, unbuilt},
};
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{
        Field, Flow, FlowId, MAX_TEXT_BYTES,
        columns::{columns, member},
    },
};

macro_rules! builder {
    ({ $($id:tt)* } $($(#[$doc:meta])* $number:literal $since:literal $field:ident $column:ident: $values:ident $presence:ident
        $encoding:ident $listing:ident $answers:ident [$($key:literal)*] [$($alias:literal)*] $parameter:tt)*) => {
        /// Flows in columns, in the order they came, until they are sorted into a batch.
        ///
        /// ```
        /// use flowseek::{flow::{Flow, FlowId}, schema::{FlowBuilder, Flows}};
        ///
        /// let mut builder = FlowBuilder::default();
        /// for start in ["2022-11-01T22:46:01Z", "2022-11-01T22:46:02Z"] {
        ///     builder.push(&Flow::starting(start.parse()?))?;
        /// }
        /// let batch = builder.finish(FlowId::new(7))?;
        /// let ids: Vec<u64> = Flows::new(&batch)?.iter().map(|stored| stored.id.get()).collect();
        /// assert_eq!(ids, [8, 7]); // newest first
        /// assert!(builder.is_empty());
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[derive(Debug)]
        pub struct FlowBuilder {
            $($column: <member!($presence $values) as Stored>::Builder,)*
        }

        impl Default for FlowBuilder {
            /// Without flows, and without memory for any.
            fn default() -> Self {
                Self { $($column: Builder::of(Field::$field),)* }
            }
        }

        impl FlowBuilder {
            /// Adds a flow.
            ///
            /// # Errors
            /// [`ErrorKind::InvalidInput`] where a name or ID is longer than [`MAX_TEXT_BYTES`] or empty; nothing is
            /// added then.
            pub fn push(&mut self, flow: &Flow) -> Result<()> {
                $(check!($values Field::$field, flow.$column);)*
                $(Stored::write(Some(&flow.$column), &mut self.$column)?;)*
                Ok(())
            }

            /// Adds flows that another builder gathered, after its own and in their order.
            pub(crate) fn append(&mut self, flows: &UnsortedFlows) -> Result<()> {
                let mut columns = flows.0.columns().iter();
                $(self.$column.append(columns.next().ok_or_else(mistyped)?)?;)*
                Ok(())
            }

            /// The columns, but for that of the IDs. It is empty afterwards.
            fn columns(&mut self) -> Vec<ArrayRef> {
                vec![$(Builder::finish(&mut self.$column)),*]
            }
        }
    };
}

/// Checks a member of a flow that not every value can be stored of.
macro_rules! check {
    (Name $field:expr, $member:expr) => {
        check_text($field, $member.as_deref())?
    };
    ($values:ident $field:expr, $member:expr) => {};
}

columns!(builder);

impl FlowBuilder {
    /// How many flows it holds.
    pub fn len(&self) -> usize {
        self.start_time.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.start_time.is_empty()
    }

    /// All its flows in the order they came. It is empty afterwards.
    pub(crate) fn unsorted(&mut self) -> Result<UnsortedFlows> {
        UnsortedFlows::of(self.columns())
    }

    /// All its flows as one batch, newest first; their IDs begin with `first` and go up in the order they came.
    /// It is empty afterwards.
    pub fn finish(&mut self, first: FlowId) -> Result<RecordBatch> {
        let starts = self.start_time.values_slice();
        let count =
            u32::try_from(starts.len()).map_err(Error::with(ErrorKind::Internal, "too many flows in a batch"))?;
        let mut newest_first: Vec<(i64, u32)> = starts.iter().copied().zip(0..count).collect();
        newest_first.sort_unstable_by(|left, right| right.cmp(left));
        let places: UInt32Array = newest_first.into_iter().map(|(_, place)| place).collect::<Vec<_>>().into();
        let ids = places.values().iter().map(|place| first.get() + u64::from(*place)).collect::<Vec<_>>();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(ids))];
        for column in self.columns() {
            columns.push(take(&column, &places, None).map_err(unbuilt)?);
        }
        RecordBatch::try_new(schema(), columns).map_err(unbuilt)
    }
}

/// Flows in columns in the order they came, without IDs: what one thread hands to another.
#[derive(Clone, Debug)]
pub(crate) struct UnsortedFlows(RecordBatch);

impl UnsortedFlows {
    /// Flows in the columns of an archive, in their order, without that of the IDs. Their values can be stored.
    pub(crate) fn of(columns: Vec<ArrayRef>) -> Result<Self> {
        let fields = schema().fields().iter().skip(1).cloned().collect::<Vec<_>>();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map(Self).map_err(unbuilt)
    }

    /// The columns, in the order of an archive.
    pub(crate) fn columns(&self) -> &[ArrayRef] {
        self.0.columns()
    }

    /// How many flows there are.
    pub(crate) fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// How many bytes of memory it keeps, among them those of larger columns that its own are slices of.
    pub(crate) fn memory(&self) -> usize {
        self.0.get_array_memory_size()
    }

    /// The same flows, without memory that was reserved for more.
    pub(crate) fn shrunk(self) -> Result<Self> {
        let (schema, mut columns, _) = self.0.into_parts();
        columns.iter_mut().for_each(Array::shrink_to_fit);
        RecordBatch::try_new(schema, columns).map(Self).map_err(unbuilt)
    }

    /// The first `count` flows and the others; `count` is at most their number. Nothing is copied.
    pub(crate) fn split(&self, count: usize) -> (Self, Self) {
        let count = count.min(self.len());
        (Self(self.0.slice(0, count)), Self(self.0.slice(count, self.len() - count)))
    }
}

/// Whether a text can be stored.
pub(crate) fn check_text(field: Field, text: Option<&str>) -> Result<()> {
    let Some(text) = text.filter(|text| text.is_empty() || text.len() > MAX_TEXT_BYTES) else {
        return Ok(());
    };
    let message =
        format!("{} has {} bytes; allowed are 1 to {MAX_TEXT_BYTES}, or no value at all", field.name(), text.len());
    Err(Error::new(ErrorKind::InvalidInput, message))
}
