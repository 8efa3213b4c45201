//! Rules on Rust source: lengths of files and functions, no ignored tests, no mutable statics.

use std::path::Path;

use anyhow::{Context, Result};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Findings;

const FILE_LINES_MAX: usize = 500;
const FILE_LINES_ADVISED: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

pub(crate) fn check(path: &Path, content: &str, findings: &mut Findings) -> Result<()> {
    let lines = content.lines().count();
    if lines > FILE_LINES_MAX {
        findings.error(path.display(), format!("{lines} lines; the limit is {FILE_LINES_MAX}"));
    } else if lines > FILE_LINES_ADVISED {
        findings.warn(path.display(), format!("{lines} lines; better stay under {FILE_LINES_ADVISED}"));
    }
    let file = syn::parse_file(content).with_context(|| format!("parsing {}", path.display()))?;
    Visitor { path, findings }.visit_file(&file);
    Ok(())
}

struct Visitor<'a> {
    path: &'a Path,
    findings: &'a mut Findings,
}

impl Visitor<'_> {
    fn place(&self, span: Span) -> String {
        format!("{}:{}", self.path.display(), span.start().line)
    }

    fn check_function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let last = block.span().end().line;
        let lines = last.saturating_sub(first) + 1;
        if lines > FUNCTION_LINES_MAX {
            self.findings.error(
                self.place(signature.span()),
                format!("fn {} has {lines} lines; the limit is {FUNCTION_LINES_MAX}", signature.ident),
            );
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.check_function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.check_function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.check_function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        if matches!(item.mutability, syn::StaticMutability::Mut(_)) {
            self.findings.error(self.place(item.span()), format!("mutable static {}", item.ident));
        }
        visit::visit_item_static(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("ignore") {
            self.findings.error(self.place(attribute.span()), "an ignored test; fix it or delete it");
        }
        visit::visit_attribute(self, attribute);
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
