//! The paths of a mapping, resolved once.

/// The keys that lead to the values that a mapping names. A path that ends within another has a value and keys below it.
#[derive(Clone, Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// The keys below it, and their nodes.
    keys: Vec<(Box<str>, usize)>,
    /// The slot of the value here.
    pub(super) slot: Option<usize>,
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Node {
    /// The node below a key.
    pub(super) fn below(&self, key: &str) -> Option<usize> {
        self.keys.iter().find(|(known, _)| **known == *key).map(|(_, node)| *node)
    }

    /// Whether there are keys below it.
    pub(super) fn is_inner(&self) -> bool {
        !self.keys.is_empty()
    }
}

impl Trie {
    /// The node of the record itself.
    pub(super) const ROOT: usize = 0;

    pub(super) fn node(&self, node: usize) -> Option<&Node> {
        self.nodes.get(node)
    }

    /// Takes in a path, whose value belongs into a slot.
    pub(super) fn insert<'p>(&mut self, path: impl Iterator<Item = &'p str>, slot: usize) {
        let mut at = Self::ROOT;
        for key in path {
            at = match self.node(at).and_then(|node| node.below(key)) {
                Some(below) => below,
                None => {
                    let below = self.nodes.len();
                    self.nodes.push(Node::default());
                    if let Some(node) = self.nodes.get_mut(at) {
                        node.keys.push((key.into(), below));
                    }
                    below
                }
            };
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.slot = Some(slot);
        }
    }
}
