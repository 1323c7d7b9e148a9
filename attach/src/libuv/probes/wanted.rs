//! Which programs a tier needs, and where they are to be placed.

use model::label::Tier;

use super::super::image::{Site, TakenSite, TaskSite};
use super::super::locate::{Located, Part};
use super::Refusal;

/// A program, and where it is to be placed: offsets in the part's file, with the upper bits of the cookie.
pub(super) struct Wanted<'a> {
    pub(super) program: &'static str,
    pub(super) part: &'a Part,
    pub(super) sites: Vec<(u64, u64)>,
    pub(super) at_return: bool,
}

impl<'a> Wanted<'a> {
    /// The points of a tier, or what is missing.
    pub(super) fn of(located: &'a Located, tier: Tier) -> Result<Vec<Self>, Refusal> {
        let part = &located.libuv;
        let points = &part.image.points;
        let plain = |program, part, site: Site| Self {
            program,
            part,
            sites: vec![(site.offset, 0)],
            at_return: false,
        };
        let need =
            |what, site: Option<Site>| site.map(|site| plain(what, part, site)).ok_or(Refusal::Missing(what));
        Ok(match tier {
            Tier::Observe => Vec::new(),
            Tier::Loop => {
                let mut wanted = vec![need("io_poll", points.io_poll)?];
                // Node.js keeps its loops' idle time.
                if !located.is_node() {
                    let sites = points.poll_returns.iter().map(|site| (site.offset, 0)).collect::<Vec<_>>();
                    if sites.is_empty() {
                        return Err(Refusal::Missing("epoll_wait"));
                    }
                    wanted.push(Self { program: "poll_return", part, sites, at_return: false });
                }
                let parts = [Some(part), located.engine.as_ref()].into_iter().flatten();
                for part in parts.filter(|part| !part.image.points.garbage_collections.is_empty()) {
                    let sites = part.image.points.garbage_collections.iter().map(|site| (site.offset, 0));
                    let begin = Self { program: "gc_begin", part, sites: sites.collect(), at_return: false };
                    // The end first, so that no beginning is seen without it.
                    wanted.push(Self {
                        program: "gc_end",
                        sites: begin.sites.clone(),
                        at_return: true,
                        ..begin
                    });
                    wanted.push(begin);
                }
                wanted
            }
            Tier::Phases => {
                let sites = points.check_returns.iter().map(|site| (site.offset, 0)).collect::<Vec<_>>();
                let mut wanted = vec![
                    need("run_timers", points.run_timers)?,
                    need("run_idle", points.run_idle)?,
                    need("run_prepare", points.run_prepare)?,
                    need("run_check", points.run_check)?,
                ];
                if sites.is_empty() {
                    return Err(Refusal::Missing("uv_run"));
                }
                wanted.push(Self { program: "check_return", part, sites, at_return: false });
                wanted
            }
            Tier::Pool => {
                let mut wanted = vec![need("work_submit", points.work_submit)?];
                wanted.extend(points.queue_work.map(|site| plain("queue_work", part, site)));
                let end = points.task_end.ok_or(Refusal::Missing("worker"))?;
                for (part, starts) in located.task_starts() {
                    if starts.is_empty() {
                        return Err(Refusal::Missing("uv__fs_work"));
                    }
                    let sites = starts.iter().map(task_site).collect();
                    wanted.push(Self { program: "task_start", part, sites, at_return: false });
                }
                wanted.push(Self {
                    program: "task_end",
                    part,
                    sites: vec![task_site(&end)],
                    at_return: false,
                });
                // The end first, so that no beginning is seen without it.
                for (program, at_return) in [("cancel_end", true), ("cancel_begin", false)] {
                    wanted.extend(points.cancel.map(|site| Self { at_return, ..plain(program, part, site) }));
                }
                wanted.extend(points.work_taken.map(|taken| Self {
                    program: "work_taken",
                    part,
                    sites: vec![taken_site(&taken)],
                    at_return: false,
                }));
                wanted
            }
        })
    }
}

fn task_site(site: &TaskSite) -> (u64, u64) {
    let displacement = u64::from(site.displacement as u32);
    (site.site.offset, u64::from(site.register.0) << 16 | displacement << 32)
}

fn taken_site(site: &TakenSite) -> (u64, u64) {
    (site.site.offset, u64::from(site.first.0) << 16 | u64::from(site.head.0) << 24)
}
