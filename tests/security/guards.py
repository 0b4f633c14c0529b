"""The guards behind docs/security.md: where each is, how it is taken away, and the test that fails without it."""

from __future__ import annotations

from typing import NamedTuple


class Guard(NamedTuple):
    """``text`` in ``file`` is what guards; with ``without`` in its place ``test`` must fail."""

    name: str
    file: str
    text: str
    without: str
    test: str


GUARDS = (
    Guard(
        "a pickled row of the cache is refused",
        "imgtool/engine/cache/disk.py",
        "        if mode != MODE_RAW or filename is not None or read:\n",
        "        import pickle\n\n        if mode == 4:\n            return pickle.loads(value)\n        if False:\n",
        "tests/engine/cache/test_disk.py::test_pickled_values_are_refused_and_not_run",
    ),
    Guard(
        "a page of a document takes no more memory than it may",
        "imgtool/runtime/worker/memory.py",
        "            if own() > limit:\n",
        "            if False:\n",
        "tests/runtime/test_crashes.py::test_a_document_that_would_take_all_memory_fails_alone",
    ),
    Guard(
        "nothing imports a module that opens pickles",
        "imgtool/quantities.py",
        "from __future__ import annotations\n",
        "from __future__ import annotations\n\nimport pickle  # noqa: F401\n",
        "tests/security/test_threats.py::test_nothing_of_ours_can_open_a_pickle_or_run_text",
    ),
    Guard(
        "weights that are a pickle alone are not fetched",
        "imgtool/weights/fetching/hub.py",
        "    if pickle is not None and not set(SAFE) & set(available):\n",
        "    if False:\n",
        "tests/weights/fetching/test_hub.py::test_a_repository_with_a_pickle_alone_is_refused_before_it_is_fetched",
    ),
    Guard(
        "an archive gives its weights and nothing else",
        "imgtool/weights/fetching/easyocr_files.py",
        "            require_space(folder, size)\n",
        "            require_space(folder, size)\n            opened.extractall(folder.parent)\n",
        "tests/security/test_threats.py::test_an_archive_writes_nothing_but_its_weights",
    ),
    Guard(
        "paths in a manifest stay in their folder",
        "imgtool/weights/manifest.py",
        '        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\0" in path:\n',
        "        if False:\n",
        "tests/weights/test_store.py::test_a_manifest_that_could_mislead_is_refused",
    ),
    Guard(
        "a manifest that was changed is not believed",
        "imgtool/ground/sealed.py",
        "    if not sealed:\n",
        "    if False:\n",
        "tests/ground/test_sealed.py::test_every_cut_is_seen",
    ),
    Guard(
        "control characters do not reach a terminal",
        "imgtool/formats/clean.py",
        "    if text.isprintable() and (text.isascii() or not _JOINERS.search(text)):\n        return text\n",
        "    return text\n",
        "tests/formats/test_table.py::test_a_hostile_name_and_hostile_text_are_shown_not_obeyed",
    ),
    Guard(
        "cells that would be formulas begin with an apostrophe",
        "imgtool/formats/csvout.py",
        '    return "\'" + text if text.startswith(_FORMULA) else text\n',
        "    return text\n",
        "tests/formats/test_csvout.py::test_nothing_from_a_picture_or_a_name_is_a_formula",
    ),
    Guard(
        "texts of a workbook are text cells",
        "imgtool/formats/xlsx.py",
        "                self._sheet.write_string(self._row, place, _cell(value), style)\n",
        "                self._sheet.write(self._row, place, _cell(value), style)\n",
        "tests/formats/test_xlsx.py::test_a_text_is_never_a_formula_a_link_or_a_number",
    ),
    Guard(
        "HTML is escaped",
        "imgtool/page/template.py",
        "        autoescape=True,\n",
        "        autoescape=False,\n",
        "tests/formats/test_gallery_writer.py::test_hostile_strings_add_no_element",
    ),
    Guard(
        "a page allows its own script and style alone",
        "imgtool/page/template.py",
        '    policy = {"default-src": "\'none\'", ',
        '    policy = {"default-src": "*", ',
        "tests/page/test_document.py::test_the_policy_allows_its_own_style_and_nothing_else",
    ),
    Guard(
        "the service's pages have that policy, too",
        "imgtool/service/pages.py",
        '    "content-security-policy": "frame-ancestors \'none\'",\n',
        "",
        "tests/service/test_pages.py::test_the_policy_of_the_pages_allows_nothing_else",
    ),
    Guard(
        "links out of the service's root are not followed",
        "imgtool/service/jobs/paths.py",
        "        return Path(os.path.realpath(path)).is_relative_to(self._real)\n",
        "        return True\n",
        "tests/service/test_jobs.py::test_links_inside_a_folder_are_followed_inside_the_root_alone",
    ),
    Guard(
        "paths out of the service's root are refused",
        "imgtool/service/jobs/paths.py",
        '        if place.is_absolute() or ".." in place.parts or not self._holds(self._real / place):\n',
        "        if False:\n",
        "tests/service/test_jobs.py::test_paths_that_lead_out_of_the_root_are_refused",
    ),
    Guard(
        "keys are compared in constant time",
        "imgtool/service/keys.py",
        "            if hmac.compare_digest(key.hash, hashed):\n",
        "            if key.hash == hashed:\n",
        "tests/security/test_threats.py::test_keys_are_compared_in_constant_time",
    ),
    Guard(
        "keys are not kept as they are",
        "imgtool/service/keys.py",
        "hash=_hash(secret), created=now",
        "hash=secret, created=now",
        "tests/service/test_keys.py::test_a_key_is_shown_once_and_only_its_hash_is_kept",
    ),
    Guard(
        "a service without keys answers under local names alone",
        "imgtool/service/gate.py",
        "        if self._local_names and host_name(host) not in self._local_names:\n",
        "        if False:\n",
        "tests/service/test_requests.py::test_a_page_of_a_stranger_reaches_nothing",
    ),
    Guard(
        "what is searched for is a parameter of the SQL",
        "imgtool/database/search/conditions.py",
        '    return begins(column, node.value) if node.prefix else Condition(f"({column} = ?)", (node.value,))\n',
        "    return Condition(f\"({column} = '{node.value}')\", ())\n",
        "tests/database/test_search.py::test_whatever_is_searched_for_is_a_value_and_no_sql",
    ),
    Guard(
        "scratch folders are for their owner alone",
        "imgtool/files.py",
        '    with _claimed_folder(lambda: place / f"{prefix}{_unique()}", 0o700) as folder:\n',
        '    with _claimed_folder(lambda: place / f"{prefix}{_unique()}") as folder:\n',
        "tests/test_files.py::test_what_is_being_written_stays",
    ),
    Guard(
        "the cache is for its owner alone",
        "imgtool/engine/cache/sqlite.py",
        "    if found.st_mode & 0o077 and found.st_uid == os.geteuid():\n",
        "    if False:\n",
        "tests/engine/cache/test_store.py::test_an_open_folder_is_closed_but_one_that_exists_around_it_is_not",
    ),
    Guard(
        "a stand-in for a home that another user has made is refused",
        "imgtool/options.py",
        "        if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):\n",
        "        if False:\n",
        "tests/cli/test_another_user.py::test_a_stand_in_for_a_home_that_another_user_has_made_is_refused",
    ),
    Guard(
        "an image is refused before it is decoded where it has too many pixels",
        "imgtool/runtime/worker/decode.py",
        "        if width * height > self._max_pixels:\n",
        "        if False:\n",
        "tests/runtime/worker/test_decode.py::test_a_bomb_is_refused_before_it_goes_off",
    ),
    Guard(
        "a document is refused before a page is looked at where it has too many",
        "imgtool/runtime/worker/decode.py",
        "        if most is not None and pages > most:\n",
        "        if False:\n",
        "tests/runtime/worker/test_decode.py::test_more_pages_than_the_limit_are_refused",
    ),
    Guard(
        "what comes from a shared cache has the shape of an answer",
        "imgtool/engine/cache/shared/answers.py",
        "        decode_answer(question.task, found.answer.value)\n",
        "",
        "tests/engine/cache/shared/test_answers.py::test_what_is_no_answer_is_none",
    ),
    Guard(
        "settings that are not known are refused",
        "imgtool/config.py",
        "    if kind is None:\n        raise _unknown(name, source)\n",
        "    if kind is None:\n        return value\n",
        "tests/test_config.py::test_an_unknown_key_in_any_file_is_refused",
    ),
    Guard(
        "passwords in URLs are not shown",
        "imgtool/engine/cache/shared/url.py",
        "{parts.netloc.rpartition('@')[2]}",
        "{parts.netloc}",
        "tests/engine/cache/shared/test_url.py::test_a_server_is_named_and_shown_without_its_password",
    ),
    Guard(
        "workers write nowhere but where they are told",
        "imgtool/ground/sandbox.py",
        "    _restrict_files(libc, writable)\n",
        "",
        "tests/ground/test_sandbox.py::test_everything_else_is_refused",
    ),
    Guard(
        "workers open no socket",
        "imgtool/ground/sandbox.py",
        "    _refuse_system_calls(libc)\n",
        "",
        "tests/ground/test_sandbox.py::test_everything_else_is_refused",
    ),
    Guard(
        "a node answers for the bytes that were hashed",
        "imgtool/cluster/node.py",
        "            if state.st_size == item.size and "
        'hashlib.file_digest(file, "sha256").hexdigest() == item.sha256:\n',
        "            if state.st_size == item.size:\n",
        "tests/cluster/test_node.py::test_batches_are_answered_side_by_side_and_files_are_checked_by_hash",
    ),
)
