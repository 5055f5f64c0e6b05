//! RFC 1034 §4.3.2 and what later RFCs add to it, as tables: question → rcode, flags, sections.

mod support;

use support::Server;
use support::cases::check;

const ZONES: &str = "
zone example.com.
example.com.               3600 SOA   ns1.example.com. hostmaster.example.com. 7 3600 600 604800 60
example.com.               3600 NS    ns1.example.com.
example.com.               3600 NS    ns.example.net.
example.com.               3600 MX    10 mail.example.com.
example.com.               3600 MX    20 mail.example.com.
example.com.               3600 MX    30 mx.example.net.
ns1.example.com.           3600 A     192.0.2.1
ns1.example.com.           3600 AAAA  2001:db8::1
mail.example.com.           300 A     192.0.2.25
www.example.com.            300 A     192.0.2.10
www.example.com.            300 A     192.0.2.11
a.b.ent.example.com.        300 TXT   deep
_sip._tcp.example.com.      300 SRV   1 2 5060 mail.example.com.
alias.example.com.          300 CNAME www.example.com.
alias2.example.com.         300 CNAME alias.example.com.
dangling.example.com.       300 CNAME nowhere.example.com.
outside.example.com.        300 CNAME www.example.net.
loop-a.example.com.         300 CNAME loop-b.example.com.
loop-b.example.com.         300 CNAME loop-a.example.com.
self.example.com.           300 CNAME self.example.com.
into-child.example.com.     300 CNAME www.child.example.com.
gone-child.example.com.     300 CNAME nothing.child.example.com.
into-cut.example.com.       300 CNAME host.cut.example.com.
*.wild.example.com.         300 A     192.0.2.77
*.wild.example.com.         300 MX    10 mail.example.com.
below.ent.wild.example.com. 300 A     192.0.2.78
*.wcut.example.com.         300 NS    ns.example.net.
*.walias.example.com.       300 CNAME www.example.com.
*.wloop.example.com.        300 CNAME x.wloop.example.com.
sub.*.went.example.com.     300 TXT   below-an-asterisk
cut.example.com.            900 NS    ns.cut.example.com.
cut.example.com.            900 NS    ns.sibling.example.com.
cut.example.com.            900 NS    ns1.example.com.
cut.example.com.            900 NS    ns.example.net.
cut.example.com.            900 DS    1 8 2 abcd
ns.cut.example.com.         900 A     192.0.2.101
occluded.cut.example.com.   900 A     192.0.2.102
sibling.example.com.        900 NS    ns.sibling.example.com.
ns.sibling.example.com.     900 A     192.0.2.103
dname.example.com.          200 DNAME target.example.com.
dname.example.com.          200 TXT   beside
under.dname.example.com.    200 A     192.0.2.120
host.target.example.com.    200 A     192.0.2.121
outdname.example.com.       200 DNAME example.net.
service.example.com.        300 HTTPS 1 mail.example.com.
alias-mode.example.com.     300 HTTPS 0 pool.example.com.
pool.example.com.           300 HTTPS 1 pool.example.com.
pool.example.com.           300 HTTPS 2 service.example.com.
pool.example.com.           300 A     192.0.2.80
pool.example.com.           300 TXT   beside
child.example.com.          900 NS    ns.child.example.com.
ns.child.example.com.       900 A     192.0.2.150
child.example.com.          900 DS    1 8 2 abcd

zone child.example.com.
child.example.com.         3600 SOA   ns.child.example.com. hostmaster.example.com. 1 3600 600 604800 30
child.example.com.         3600 NS    ns.child.example.com.
ns.child.example.com.      3600 A     192.0.2.151
www.child.example.com.     3600 A     192.0.2.152
up.child.example.com.      3600 CNAME host.cut.example.com.
";

#[test]
fn positive_answers() {
    check(
        &mut Server::new(ZONES),
        "
all_values_in_stored_order_and_nothing_else
  ask www.example.com. A
  is NOERROR aa
  answer www.example.com. 300 A 192.0.2.10
  answer www.example.com. 300 A 192.0.2.11
case_comes_back_as_asked_rfc4343_4_1
  ask wWw.ExAmPlE.cOm. A
  is NOERROR aa
  answer wWw.ExAmPlE.cOm. 300 A 192.0.2.10
  answer wWw.ExAmPlE.cOm. 300 A 192.0.2.11
soa_itself_keeps_its_ttl
  ask example.com. SOA
  is NOERROR aa
  answer example.com. 3600 SOA ns1.example.com. hostmaster.example.com. 7 3600 600 604800 60
ns_brings_the_addresses_in_the_zone
  ask example.com. NS
  is NOERROR aa
  answer example.com. 3600 NS ns1.example.com.
  answer example.com. 3600 NS ns.example.net.
  additional ns1.example.com. 3600 A 192.0.2.1
  additional ns1.example.com. 3600 AAAA 2001:db8::1
mx_brings_each_host_once
  ask example.com. MX
  is NOERROR aa
  answer example.com. 3600 MX 10 mail.example.com.
  answer example.com. 3600 MX 20 mail.example.com.
  answer example.com. 3600 MX 30 mx.example.net.
  additional mail.example.com. 300 A 192.0.2.25
srv_brings_its_target
  ask _sip._tcp.example.com. SRV
  is NOERROR aa
  answer _sip._tcp.example.com. 300 SRV 1 2 5060 mail.example.com.
  additional mail.example.com. 300 A 192.0.2.25
https_brings_its_target_rfc9460_4_1
  ask service.example.com. HTTPS
  is NOERROR aa
  answer service.example.com. 300 HTTPS 0001046d61696c076578616d706c6503636f6d00
  additional mail.example.com. 300 A 192.0.2.25
https_in_alias_mode_brings_the_targets_https_too_rfc9460_4_1
  ask alias-mode.example.com. HTTPS
  is NOERROR aa
  answer alias-mode.example.com. 300 HTTPS 000004706f6f6c076578616d706c6503636f6d00
  additional pool.example.com. 300 A 192.0.2.80
  additional pool.example.com. 300 HTTPS 000104706f6f6c076578616d706c6503636f6d00
  additional pool.example.com. 300 HTTPS 00020773657276696365076578616d706c6503636f6d00
https_in_service_mode_likewise_but_never_what_is_the_answer
  ask pool.example.com. HTTPS
  is NOERROR aa
  answer pool.example.com. 300 HTTPS 000104706f6f6c076578616d706c6503636f6d00
  answer pool.example.com. 300 HTTPS 00020773657276696365076578616d706c6503636f6d00
  additional pool.example.com. 300 A 192.0.2.80
  additional service.example.com. 300 HTTPS 0001046d61696c076578616d706c6503636f6d00
any_is_hinfo_rfc8482_4_2
  ask www.example.com. ANY
  is NOERROR aa
  answer www.example.com. 3600 HINFO 075246433834383200
any_at_an_alias_is_not_followed
  ask alias.example.com. ANY
  is NOERROR aa
  answer alias.example.com. 3600 HINFO 075246433834383200
",
    );
}

#[test]
fn negative_answers() {
    check(
        &mut Server::new(ZONES),
        "
nxdomain_with_the_lesser_of_ttl_and_minimum_rfc2308_3
  ask nothing.example.com. A
  is NXDOMAIN aa
  denied by example.com. 60
nxdomain_far_below_a_name_that_exists
  ask a.b.c.d.e.f.www.example.com. A
  is NXDOMAIN aa
  denied by example.com. 60
nodata
  ask www.example.com. AAAA
  is NOERROR aa
  denied by example.com. 60
nodata_at_empty_non_terminal_rfc4592_2_2_2
  ask b.ent.example.com. TXT
  is NOERROR aa
  denied by example.com. 60
nodata_at_empty_non_terminal_two_levels_up
  ask ent.example.com. TXT
  is NOERROR aa
  denied by example.com. 60
any_at_empty_non_terminal_is_nodata
  ask ent.example.com. ANY
  is NOERROR aa
  denied by example.com. 60
unknown_type_is_nodata_rfc3597_3
  ask www.example.com. TYPE65400
  is NOERROR aa
  denied by example.com. 60
name_outside_our_zones_is_refused
  ask www.example.net. A
  is REFUSED
",
    );
}

#[test]
fn wildcards_rfc4592() {
    check(
        &mut Server::new(ZONES),
        "
wildcard_is_synthesised_under_the_name_asked
  ask any.wild.example.com. A
  is NOERROR aa
  answer any.wild.example.com. 300 A 192.0.2.77
wildcard_covers_several_labels
  ask x.y.z.wild.example.com. A
  is NOERROR aa
  answer x.y.z.wild.example.com. 300 A 192.0.2.77
wildcard_without_the_type_is_nodata
  ask any.wild.example.com. TXT
  is NOERROR aa
  denied by example.com. 60
wildcard_mx_brings_additional_data
  ask any.wild.example.com. MX
  is NOERROR aa
  answer any.wild.example.com. 300 MX 10 mail.example.com.
  additional mail.example.com. 300 A 192.0.2.25
asterisk_itself_is_a_name_rfc4592_2_1_1
  ask *.wild.example.com. A
  is NOERROR aa
  answer *.wild.example.com. 300 A 192.0.2.77
empty_non_terminal_blocks_the_wildcard_rfc4592_3_3_1
  ask ent.wild.example.com. A
  is NOERROR aa
  denied by example.com. 60
closest_encloser_below_the_wildcard_is_not_covered
  ask other.ent.wild.example.com. A
  is NXDOMAIN aa
  denied by example.com. 60
name_below_the_asterisk_is_not_covered
  ask x.*.wild.example.com. A
  is NXDOMAIN aa
  denied by example.com. 60
asterisk_with_ns_is_delegated_rfc4592_4_2
  ask *.wcut.example.com. A
  is NOERROR
  authority *.wcut.example.com. 300 NS ns.example.net.
name_below_an_asterisk_with_ns_is_delegated
  ask x.*.wcut.example.com. A
  is NOERROR
  authority *.wcut.example.com. 300 NS ns.example.net.
name_that_a_wildcard_with_ns_stands_for_gets_data
  ask x.wcut.example.com. NS
  is NOERROR aa
  answer x.wcut.example.com. 300 NS ns.example.net.
parent_of_the_wildcard_exists
  ask wild.example.com. A
  is NOERROR aa
  denied by example.com. 60
asterisk_that_is_an_empty_non_terminal_is_nodata_rfc4592_2_2_2
  ask x.went.example.com. TXT
  is NOERROR aa
  denied by example.com. 60
wildcard_cname_is_followed
  ask x.walias.example.com. A
  is NOERROR aa
  answer x.walias.example.com. 300 CNAME www.example.com.
  answer www.example.com. 300 A 192.0.2.10
  answer www.example.com. 300 A 192.0.2.11
wildcard_cname_asked_for_itself
  ask x.walias.example.com. CNAME
  is NOERROR aa
  answer x.walias.example.com. 300 CNAME www.example.com.
wildcard_cname_to_itself_ends
  ask y.wloop.example.com. A
  is NOERROR aa
  answer y.wloop.example.com. 300 CNAME x.wloop.example.com.
  answer x.wloop.example.com. 300 CNAME x.wloop.example.com.
",
    );
}

#[test]
fn aliases() {
    check(
        &mut Server::new(ZONES),
        "
chain_is_followed_within_the_zone
  ask alias2.example.com. A
  is NOERROR aa
  answer alias2.example.com. 300 CNAME alias.example.com.
  answer alias.example.com. 300 CNAME www.example.com.
  answer www.example.com. 300 A 192.0.2.10
  answer www.example.com. 300 A 192.0.2.11
target_without_the_type_is_nodata_of_its_zone
  ask alias.example.com. TXT
  is NOERROR aa
  answer alias.example.com. 300 CNAME www.example.com.
  denied by example.com. 60
target_that_does_not_exist_is_nxdomain_rfc6604_3
  ask dangling.example.com. A
  is NXDOMAIN aa
  answer dangling.example.com. 300 CNAME nowhere.example.com.
  denied by example.com. 60
target_outside_ends_the_answer
  ask outside.example.com. A
  is NOERROR aa
  answer outside.example.com. 300 CNAME www.example.net.
target_in_another_zone_of_ours_is_followed
  ask into-child.example.com. A
  is NOERROR aa
  answer into-child.example.com. 300 CNAME www.child.example.com.
  answer www.child.example.com. 3600 A 192.0.2.152
denial_in_another_zone_of_ours_is_left_to_the_client
  ask gone-child.example.com. A
  is NOERROR aa
  answer gone-child.example.com. 300 CNAME nothing.child.example.com.
nodata_in_another_zone_of_ours_likewise
  ask into-child.example.com. TXT
  is NOERROR aa
  answer into-child.example.com. 300 CNAME www.child.example.com.
referral_of_another_zone_of_ours_likewise
  ask up.child.example.com. A
  is NOERROR aa
  answer up.child.example.com. 3600 CNAME host.cut.example.com.
target_below_a_cut_is_a_referral
  ask into-cut.example.com. A
  is NOERROR aa
  answer into-cut.example.com. 300 CNAME host.cut.example.com.
  authority cut.example.com. 900 NS ns.cut.example.com.
  authority cut.example.com. 900 NS ns.sibling.example.com.
  authority cut.example.com. 900 NS ns1.example.com.
  authority cut.example.com. 900 NS ns.example.net.
  additional ns.cut.example.com. 900 A 192.0.2.101
  additional ns.sibling.example.com. 900 A 192.0.2.103
  additional ns1.example.com. 3600 A 192.0.2.1
  additional ns1.example.com. 3600 AAAA 2001:db8::1
loop_ends_where_it_closes
  ask loop-a.example.com. A
  is NOERROR aa
  answer loop-a.example.com. 300 CNAME loop-b.example.com.
  answer loop-b.example.com. 300 CNAME loop-a.example.com.
alias_of_itself_ends
  ask self.example.com. A
  is NOERROR aa
  answer self.example.com. 300 CNAME self.example.com.
",
    );
}

#[test]
fn delegations() {
    check(
        &mut Server::new(ZONES),
        "
referral_has_all_glue_and_no_authority
  ask www.cut.example.com. A
  is NOERROR
  authority cut.example.com. 900 NS ns.cut.example.com.
  authority cut.example.com. 900 NS ns.sibling.example.com.
  authority cut.example.com. 900 NS ns1.example.com.
  authority cut.example.com. 900 NS ns.example.net.
  additional ns.cut.example.com. 900 A 192.0.2.101
  additional ns.sibling.example.com. 900 A 192.0.2.103
  additional ns1.example.com. 3600 A 192.0.2.1
  additional ns1.example.com. 3600 AAAA 2001:db8::1
ns_at_the_cut_is_a_referral
  ask sibling.example.com. NS
  is NOERROR
  authority sibling.example.com. 900 NS ns.sibling.example.com.
  additional ns.sibling.example.com. 900 A 192.0.2.103
glue_itself_is_a_referral
  ask ns.sibling.example.com. A
  is NOERROR
  authority sibling.example.com. 900 NS ns.sibling.example.com.
  additional ns.sibling.example.com. 900 A 192.0.2.103
any_at_the_cut_is_a_referral
  ask sibling.example.com. ANY
  is NOERROR
  authority sibling.example.com. 900 NS ns.sibling.example.com.
  additional ns.sibling.example.com. 900 A 192.0.2.103
ds_at_the_cut_is_ours_rfc4035_3_1_4_1
  ask cut.example.com. DS
  is NOERROR aa
  answer cut.example.com. 900 DS 00010802abcd
no_ds_at_the_cut_is_nodata_of_the_parent
  ask sibling.example.com. DS
  is NOERROR aa
  denied by example.com. 60
ds_below_the_cut_is_a_referral
  ask www.sibling.example.com. DS
  is NOERROR
  authority sibling.example.com. 900 NS ns.sibling.example.com.
  additional ns.sibling.example.com. 900 A 192.0.2.103
child_on_the_same_server_answers_for_itself
  ask ns.child.example.com. A
  is NOERROR aa
  answer ns.child.example.com. 3600 A 192.0.2.151
child_denies_in_its_own_name
  ask nothing.child.example.com. A
  is NXDOMAIN aa
  denied by child.example.com. 30
ds_of_the_child_comes_from_the_parent
  ask child.example.com. DS
  is NOERROR aa
  answer child.example.com. 900 DS 00010802abcd
ds_of_an_apex_whose_parent_is_not_ours_is_nodata
  ask example.com. DS
  is NOERROR aa
  denied by example.com. 60
",
    );
}

#[test]
fn dname_rfc6672() {
    check(
        &mut Server::new(ZONES),
        "
name_below_is_redirected_with_a_synthesised_cname
  ask host.dname.example.com. A
  is NOERROR aa
  answer dname.example.com. 200 DNAME target.example.com.
  answer host.dname.example.com. 200 CNAME host.target.example.com.
  answer host.target.example.com. 200 A 192.0.2.121
stored_name_below_is_occluded
  ask under.dname.example.com. A
  is NXDOMAIN aa
  answer dname.example.com. 200 DNAME target.example.com.
  answer under.dname.example.com. 200 CNAME under.target.example.com.
  denied by example.com. 60
owner_itself_is_not_redirected
  ask dname.example.com. TXT
  is NOERROR aa
  answer dname.example.com. 200 TXT 06626573696465
dname_asked_for_itself
  ask dname.example.com. DNAME
  is NOERROR aa
  answer dname.example.com. 200 DNAME target.example.com.
synthesised_cname_asked_for_itself
  ask host.dname.example.com. CNAME
  is NOERROR aa
  answer dname.example.com. 200 DNAME target.example.com.
  answer host.dname.example.com. 200 CNAME host.target.example.com.
target_outside_our_zones
  ask host.outdname.example.com. A
  is NOERROR aa
  answer outdname.example.com. 200 DNAME example.net.
  answer host.outdname.example.com. 200 CNAME host.example.net.
",
    );
}
