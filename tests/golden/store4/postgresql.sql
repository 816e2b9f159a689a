--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: mergestore_follow(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.mergestore_follow() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN IF NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM audit_event) THEN RAISE EXCEPTION 'audit events are append-only' USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$;


--
-- Name: mergestore_keep(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.mergestore_keep() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ DECLARE named text = to_jsonb(OLD) ->> TG_ARGV[0]; BEGIN IF EXISTS (SELECT 1 FROM model_version AS kept WHERE CASE WHEN TG_ARGV[0] = 'recipe_digest' THEN kept.digest = named ELSE kept.id = named::integer END AND (EXISTS (SELECT 1 FROM pin WHERE pin.version_id = kept.id) OR EXISTS (SELECT 1 FROM lineage_edge WHERE lineage_edge.parent_version_id = kept.id))) THEN RAISE EXCEPTION 'its version is pinned, or something came from it' USING ERRCODE = 'restrict_violation'; END IF; RETURN OLD; END $$;


--
-- Name: mergestore_refuse(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.mergestore_refuse() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation'; END $$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: alias; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alias (
    model_id integer NOT NULL,
    alias character varying(128) NOT NULL,
    version_id integer NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    updated_by text NOT NULL
);


--
-- Name: alias_event; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alias_event (
    id integer NOT NULL,
    model_id integer NOT NULL,
    alias character varying(128) NOT NULL,
    version_id integer,
    previous_version_id integer,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL
);


--
-- Name: alias_event_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.alias_event_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: alias_event_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.alias_event_id_seq OWNED BY public.alias_event.id;


--
-- Name: attestation; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.attestation (
    id integer NOT NULL,
    subject_digest text NOT NULL,
    predicate_type text NOT NULL,
    document text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_attestation_subject_digest CHECK ((length(subject_digest) = 71))
);


--
-- Name: attestation_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.attestation_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: attestation_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.attestation_id_seq OWNED BY public.attestation.id;


--
-- Name: audit_event; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit_event (
    sequence integer NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details text NOT NULL,
    previous_hash text NOT NULL,
    hash text NOT NULL,
    CONSTRAINT ck_audit_event_sequence CHECK ((sequence >= 1))
);


--
-- Name: blob; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.blob (
    digest text NOT NULL,
    size bigint NOT NULL,
    sha256 text,
    kind text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    verified_at timestamp with time zone,
    CONSTRAINT ck_blob_digest CHECK ((length(digest) = 71)),
    CONSTRAINT ck_blob_kind CHECK ((kind = ANY (ARRAY['weights'::text, 'companion'::text, 'delta'::text, 'statistics'::text]))),
    CONSTRAINT ck_blob_size CHECK ((size >= 0))
);


--
-- Name: delta; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.delta (
    version_id integer NOT NULL,
    base_version_id integer NOT NULL,
    encoding text NOT NULL,
    "values" text,
    drop_rate double precision,
    seed bigint,
    parameters json NOT NULL,
    statistics json NOT NULL,
    blob_digest text NOT NULL,
    stored_bytes bigint NOT NULL,
    CONSTRAINT ck_delta_base_is_older CHECK ((base_version_id < version_id)),
    CONSTRAINT ck_delta_dare CHECK (((encoding <> 'dare'::text) OR (("values" IS NOT NULL) AND (drop_rate IS NOT NULL) AND (seed IS NOT NULL)))),
    CONSTRAINT ck_delta_drop_rate CHECK (((drop_rate >= (0)::double precision) AND (drop_rate < (1)::double precision))),
    CONSTRAINT ck_delta_encoding CHECK ((encoding = ANY (ARRAY['dare'::text, 'exact'::text, 'magnitude'::text, 'sign'::text, 'lora'::text]))),
    CONSTRAINT ck_delta_seed CHECK ((seed >= 0)),
    CONSTRAINT ck_delta_stored_bytes CHECK ((stored_bytes >= 0)),
    CONSTRAINT ck_delta_values CHECK (("values" = ANY (ARRAY['int4'::text, 'bf16'::text, 'exact'::text])))
);


--
-- Name: evaluation; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.evaluation (
    id integer NOT NULL,
    recipe_digest text,
    version_id integer,
    metric text NOT NULL,
    value double precision NOT NULL,
    dataset text NOT NULL,
    details json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_evaluation_subject CHECK (((recipe_digest IS NOT NULL) OR (version_id IS NOT NULL)))
);


--
-- Name: evaluation_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.evaluation_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: evaluation_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.evaluation_id_seq OWNED BY public.evaluation.id;


--
-- Name: garbage; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.garbage (
    digest text NOT NULL,
    found_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_garbage_digest CHECK ((length(digest) = 71))
);


--
-- Name: lease; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lease (
    name text NOT NULL,
    holder text NOT NULL,
    acquired_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_lease_period CHECK ((expires_at > acquired_at))
);


--
-- Name: lineage_edge; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.lineage_edge (
    child_version_id integer NOT NULL,
    parent_version_id integer NOT NULL,
    role text NOT NULL,
    CONSTRAINT ck_lineage_edge_acyclic CHECK ((child_version_id > parent_version_id)),
    CONSTRAINT ck_lineage_edge_role CHECK ((role = ANY (ARRAY['base'::text, 'skill'::text, 'head'::text, 'merge'::text])))
);


--
-- Name: materialization; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.materialization (
    id character varying(36) NOT NULL,
    recipe_digest text NOT NULL,
    merge_version_id integer,
    output_digest text NOT NULL,
    device text NOT NULL,
    engine text NOT NULL,
    versions json NOT NULL,
    seconds double precision NOT NULL,
    bytes bigint NOT NULL,
    path text,
    cached boolean NOT NULL,
    mlflow_run_id text,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    mlflow_version integer,
    CONSTRAINT ck_materialization_measured CHECK (((seconds >= (0)::double precision) AND (bytes >= 0))),
    CONSTRAINT ck_materialization_output_digest CHECK ((length(output_digest) = 71))
);


--
-- Name: mergestore_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.mergestore_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: model; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.model (
    id integer NOT NULL,
    name character varying(128) NOT NULL,
    kind text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_model_kind CHECK ((kind = ANY (ARRAY['base'::text, 'skill'::text, 'merge'::text])))
);


--
-- Name: model_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.model_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: model_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.model_id_seq OWNED BY public.model.id;


--
-- Name: model_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.model_version (
    id integer NOT NULL,
    model_id integer NOT NULL,
    version integer NOT NULL,
    digest text NOT NULL,
    state text DEFAULT 'ready'::text NOT NULL,
    reason text,
    licence text,
    source text,
    attributes json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_model_version_digest CHECK ((length(digest) = 71)),
    CONSTRAINT ck_model_version_reason CHECK (((state = 'ready'::text) OR (reason IS NOT NULL))),
    CONSTRAINT ck_model_version_state CHECK ((state = ANY (ARRAY['ready'::text, 'yanked'::text, 'quarantined'::text]))),
    CONSTRAINT ck_model_version_version CHECK ((version >= 1))
);


--
-- Name: model_version_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.model_version_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: model_version_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.model_version_id_seq OWNED BY public.model_version.id;


--
-- Name: outbox; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.outbox (
    id integer NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    payload json NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    last_error text,
    created_at timestamp with time zone NOT NULL,
    delivered_at timestamp with time zone,
    CONSTRAINT ck_outbox_attempts CHECK ((attempts >= 0))
);


--
-- Name: outbox_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.outbox_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: outbox_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.outbox_id_seq OWNED BY public.outbox.id;


--
-- Name: pin; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.pin (
    version_id integer NOT NULL,
    reason text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL
);


--
-- Name: recipe; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.recipe (
    digest text NOT NULL,
    canonical text NOT NULL,
    method text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_recipe_digest CHECK ((length(digest) = 71))
);


--
-- Name: recipe_input; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.recipe_input (
    recipe_digest text NOT NULL,
    "position" integer NOT NULL,
    version_id integer NOT NULL,
    weight double precision,
    role text NOT NULL,
    CONSTRAINT ck_recipe_input_position CHECK (("position" >= 0)),
    CONSTRAINT ck_recipe_input_role CHECK ((role = ANY (ARRAY['base'::text, 'skill'::text, 'head'::text])))
);


--
-- Name: statistics; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.statistics (
    id integer NOT NULL,
    version_id integer NOT NULL,
    kind text NOT NULL,
    digest text NOT NULL,
    blob_digest text NOT NULL,
    model_digest text NOT NULL,
    data_digest text NOT NULL,
    examples bigint NOT NULL,
    settings json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT ck_statistics_data_digest CHECK ((length(data_digest) = 71)),
    CONSTRAINT ck_statistics_digest CHECK ((length(digest) = 71)),
    CONSTRAINT ck_statistics_examples CHECK ((examples >= 1)),
    CONSTRAINT ck_statistics_kind CHECK ((kind = ANY (ARRAY['gram'::text, 'fisher'::text]))),
    CONSTRAINT ck_statistics_model_digest CHECK ((length(model_digest) = 71))
);


--
-- Name: statistics_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.statistics_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: statistics_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.statistics_id_seq OWNED BY public.statistics.id;


--
-- Name: store_meta; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.store_meta (
    key text NOT NULL,
    value text NOT NULL
);


--
-- Name: tensor; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tensor (
    version_id integer NOT NULL,
    name text NOT NULL,
    dtype character varying(16) NOT NULL,
    shape json NOT NULL,
    digest text NOT NULL,
    file text,
    "offset" bigint,
    nbytes bigint NOT NULL,
    statistics json,
    CONSTRAINT ck_tensor_digest CHECK ((length(digest) = 71)),
    CONSTRAINT ck_tensor_extent CHECK ((("offset" >= 0) AND (nbytes >= 0))),
    CONSTRAINT ck_tensor_place CHECK (((file IS NULL) = ("offset" IS NULL)))
);


--
-- Name: version_file; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.version_file (
    version_id integer NOT NULL,
    path text NOT NULL,
    kind text NOT NULL,
    size bigint NOT NULL,
    blob_digest text,
    referenced_path text,
    referenced_digest text,
    CONSTRAINT ck_version_file_kind CHECK ((kind = ANY (ARRAY['weights'::text, 'companion'::text, 'delta'::text]))),
    CONSTRAINT ck_version_file_one_place CHECK (((blob_digest IS NULL) <> (referenced_path IS NULL))),
    CONSTRAINT ck_version_file_size CHECK ((size >= 0))
);


--
-- Name: alias_event id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias_event ALTER COLUMN id SET DEFAULT nextval('public.alias_event_id_seq'::regclass);


--
-- Name: attestation id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attestation ALTER COLUMN id SET DEFAULT nextval('public.attestation_id_seq'::regclass);


--
-- Name: evaluation id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluation ALTER COLUMN id SET DEFAULT nextval('public.evaluation_id_seq'::regclass);


--
-- Name: model id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model ALTER COLUMN id SET DEFAULT nextval('public.model_id_seq'::regclass);


--
-- Name: model_version id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model_version ALTER COLUMN id SET DEFAULT nextval('public.model_version_id_seq'::regclass);


--
-- Name: outbox id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox ALTER COLUMN id SET DEFAULT nextval('public.outbox_id_seq'::regclass);


--
-- Name: statistics id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.statistics ALTER COLUMN id SET DEFAULT nextval('public.statistics_id_seq'::regclass);


--
-- Data for Name: alias; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alias VALUES (2, 'prod', 3, '2026-11-28 22:41:38.747325+00', 'ann@lab');
INSERT INTO public.alias VALUES (7, 'prod', 8, '2026-11-28 22:41:39.293161+00', 'ann@lab');


--
-- Data for Name: alias_event; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alias_event VALUES (1, 2, 'prod', 2, NULL, '2026-11-28 22:41:38.730645+00', 'ann@lab');
INSERT INTO public.alias_event VALUES (2, 2, 'prod', 3, 2, '2026-11-28 22:41:38.747325+00', 'ann@lab');
INSERT INTO public.alias_event VALUES (3, 7, 'prod', 8, NULL, '2026-11-28 22:41:39.293161+00', 'ann@lab');
INSERT INTO public.alias_event VALUES (4, 7, 'next', 9, NULL, '2026-11-28 22:41:39.309289+00', 'ann@lab');
INSERT INTO public.alias_event VALUES (5, 7, 'next', NULL, 9, '2026-11-28 22:41:39.321418+00', 'ann@lab');


--
-- Data for Name: attestation; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: audit_event; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit_event VALUES (1, '2026-11-28 22:41:36.654816+00', 'ann@lab', 'version.create', 'golden/base@1', '{"attributes":"sha256:dc568425398865307f21fb1c237ed529840f43ad0597e1ce22a370b3fe7dbbd8","created_at":"2026-11-28T22:41:36.641425+00:00","digest":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","kind":"base","licence":"Apache-2.0","source":"/srv/golden4/models/base","store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:0000000000000000000000000000000000000000000000000000000000000000', 'sha256:e865a3353db02c000123faf393f26a6093068593c8f75e3175ac4cb281cbe604');
INSERT INTO public.audit_event VALUES (2, '2026-11-28 22:41:36.669673+00', 'ann@lab', 'files.add', 'golden/base@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","model.safetensors":"blake3:e00558eca1699131e33e0c521cb747ab75910e12681c024f81445d78461012c4"},"rows":"sha256:0925301b41e31e07e112960f08affe461c11d8f316fae561d7dcfbffe2008afa"}', 'sha256:e865a3353db02c000123faf393f26a6093068593c8f75e3175ac4cb281cbe604', 'sha256:0fe1fcd6a19121c03641c78ec58550041abc6ab1981f79800e26752fcbcd9e6b');
INSERT INTO public.audit_event VALUES (3, '2026-11-28 22:41:36.676473+00', 'ann@lab', 'tensors.add', 'golden/base@1', '{"rows":"sha256:8f7e65615bf8c4cb5fb6fe1d21451dfb70e227c8eb5319b8d0a6975048182c9c","tensors":7}', 'sha256:0fe1fcd6a19121c03641c78ec58550041abc6ab1981f79800e26752fcbcd9e6b', 'sha256:7e85e16d8bb1fa29d8558c89f65ed3114f88d9a4181418fafee96a57fa45ce62');
INSERT INTO public.audit_event VALUES (4, '2026-11-28 22:41:37.742829+00', 'ann@lab', 'version.create', 'math@1', '{"attributes":"sha256:2b13d876ad4220642e64cb841d33ff8af183bab80fd47b933590db1d82cb9f50","created_at":"2026-11-28T22:41:37.736913+00:00","digest":"blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5","kind":"skill","licence":"MIT","source":"/srv/golden4/models/tuned","store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:7e85e16d8bb1fa29d8558c89f65ed3114f88d9a4181418fafee96a57fa45ce62', 'sha256:daf1ae28c13bf6d57767cfcac802ed5a299540e8c33a6c09dea485f392c51e75');
INSERT INTO public.audit_event VALUES (5, '2026-11-28 22:41:37.748936+00', 'ann@lab', 'files.add', 'math@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:a71584a6bd0fd39a6e1f9960faf43a68f8c586c8b3e9d74960f77c2052cd6426"},"rows":"sha256:ae49bc65725005d48bfda8fb1c5eb1f7b226c5ee73db1beb61a57bc3a3f551ca"}', 'sha256:daf1ae28c13bf6d57767cfcac802ed5a299540e8c33a6c09dea485f392c51e75', 'sha256:4e27150e1ee5a81b593147fe17cfba0a7a9db4969b6d3f199293f44e65db98a4');
INSERT INTO public.audit_event VALUES (6, '2026-11-28 22:41:37.757643+00', 'ann@lab', 'tensors.add', 'math@1', '{"rows":"sha256:30631cbaa4ee6ef3a8a5a6a93d87abe1b1e66ae4016f1336223fe5f81f9d416f","tensors":7}', 'sha256:4e27150e1ee5a81b593147fe17cfba0a7a9db4969b6d3f199293f44e65db98a4', 'sha256:426d507f77df529275a87a524b46973a1f2efe56520f816449fb97c0561187c6');
INSERT INTO public.audit_event VALUES (7, '2026-11-28 22:41:37.771576+00', 'ann@lab', 'delta.add', 'math@1', '{"base":"golden/base@1","blob":"blake3:a71584a6bd0fd39a6e1f9960faf43a68f8c586c8b3e9d74960f77c2052cd6426","drop_rate":0.899993896484375,"encoding":"dare","rows":"sha256:1d349c9ac82963609e520a83be0c0699d2c6c03b0d5f7899018c997ae142cf25","seed":0,"values":"int4"}', 'sha256:426d507f77df529275a87a524b46973a1f2efe56520f816449fb97c0561187c6', 'sha256:db54da1a59101de006a626ad801688193eb8a220874b4573ffbef82b8b5b02da');
INSERT INTO public.audit_event VALUES (8, '2026-11-28 22:41:37.776936+00', 'ann@lab', 'lineage.add', 'math@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:db54da1a59101de006a626ad801688193eb8a220874b4573ffbef82b8b5b02da', 'sha256:c4f6c519e8f3730f7767fd52f714518555e63637c7627751c811e9d3a30ac2b0');
INSERT INTO public.audit_event VALUES (9, '2026-11-28 22:41:37.856718+00', 'ann@lab', 'version.create', 'math@2', '{"attributes":"sha256:0bf5cc79db7f48db1131c76896b1e963d3aa57d29375466a086014712f7e748a","created_at":"2026-11-28T22:41:37.850149+00:00","digest":"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a","kind":"skill","licence":"MIT","source":"/srv/golden4/models/tuned","store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:c4f6c519e8f3730f7767fd52f714518555e63637c7627751c811e9d3a30ac2b0', 'sha256:fefce4f8925411abe545f3417acafc64fb06cb75c9d26bb9d501f7ce7238f3f7');
INSERT INTO public.audit_event VALUES (10, '2026-11-28 22:41:37.865674+00', 'ann@lab', 'files.add', 'math@2', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:b699fe690a69f0d71354b569dd19fdf6cf9c362dba2c55f9aa17f224e2e08bf0"},"rows":"sha256:6e8e6c5e510b76bc9d9e9d718a5b80a7d1749b10df16a1bc2d0903dc0d4bd581"}', 'sha256:fefce4f8925411abe545f3417acafc64fb06cb75c9d26bb9d501f7ce7238f3f7', 'sha256:fb9170aeb32f4fab9bb24393c06b95fabe623259283076d6f1d3a6256d68dea3');
INSERT INTO public.audit_event VALUES (11, '2026-11-28 22:41:37.871137+00', 'ann@lab', 'tensors.add', 'math@2', '{"rows":"sha256:e51129d4b84b6af57d0feb68f3e3b258f46f5739c062f0e9a8eec801be16b222","tensors":7}', 'sha256:fb9170aeb32f4fab9bb24393c06b95fabe623259283076d6f1d3a6256d68dea3', 'sha256:8919fc00afe52003fb0de97c5497f7a7758cd5d1d2261bd45267ffc38298359f');
INSERT INTO public.audit_event VALUES (12, '2026-11-28 22:41:37.876364+00', 'ann@lab', 'delta.add', 'math@2', '{"base":"golden/base@1","blob":"blake3:b699fe690a69f0d71354b569dd19fdf6cf9c362dba2c55f9aa17f224e2e08bf0","drop_rate":0.5,"encoding":"dare","rows":"sha256:e59997fd216b96f8945f3d5cb6f4c476a8031d3f4652576279058c53a4eacad1","seed":7,"values":"int4"}', 'sha256:8919fc00afe52003fb0de97c5497f7a7758cd5d1d2261bd45267ffc38298359f', 'sha256:254ae02759631085838189c95b58cebe86fc6867b112f5ea51414af9bbbcc452');
INSERT INTO public.audit_event VALUES (13, '2026-11-28 22:41:37.879629+00', 'ann@lab', 'lineage.add', 'math@2', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:254ae02759631085838189c95b58cebe86fc6867b112f5ea51414af9bbbcc452', 'sha256:7011e91113f9fada51c0c4a3e339633b8227357cf06e84d1ab470a09b0a30ec3');
INSERT INTO public.audit_event VALUES (14, '2026-11-28 22:41:38.021642+00', 'ann@lab', 'version.create', 'code@1', '{"attributes":"sha256:c1f4e44cca1d36a6514a0480f7c5aa179a896e565c164c49065361298c32e615","created_at":"2026-11-28T22:41:38.012885+00:00","digest":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","kind":"skill","licence":"Apache-2.0","source":"/srv/golden4/models/tuned","store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:7011e91113f9fada51c0c4a3e339633b8227357cf06e84d1ab470a09b0a30ec3', 'sha256:fcb60e0bad6b9994c172f38e61752fa747fc8c897b14f8d3b976f8bb163d629d');
INSERT INTO public.audit_event VALUES (15, '2026-11-28 22:41:38.028744+00', 'ann@lab', 'files.add', 'code@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:bb61f22a4c2bcf48d9987b055a37941b313e511aae75a18b6ac66eb087b4840e"},"rows":"sha256:0d0ccf659f86d0525565c5648598b602a15bd826924a0c0b8e353c2e78524970"}', 'sha256:fcb60e0bad6b9994c172f38e61752fa747fc8c897b14f8d3b976f8bb163d629d', 'sha256:dee1d18b9bf47632bbb946220fdf1a013e6beb05f1fd9dbefe423a7b891a6088');
INSERT INTO public.audit_event VALUES (16, '2026-11-28 22:41:38.036353+00', 'ann@lab', 'tensors.add', 'code@1', '{"rows":"sha256:8e326159d86c748295bb0fff0d40a4f0d2a5e7e0bb1a23797cc145776aed6f11","tensors":7}', 'sha256:dee1d18b9bf47632bbb946220fdf1a013e6beb05f1fd9dbefe423a7b891a6088', 'sha256:08ffbb417028f20bf2abd25610ad4cbcf366b50de860907a7f8cc3aded8cbec6');
INSERT INTO public.audit_event VALUES (17, '2026-11-28 22:41:38.042361+00', 'ann@lab', 'delta.add', 'code@1', '{"base":"golden/base@1","blob":"blake3:bb61f22a4c2bcf48d9987b055a37941b313e511aae75a18b6ac66eb087b4840e","drop_rate":null,"encoding":"exact","rows":"sha256:742324698bbb295fc61e57aeea8e88b15fd6c3b5edd24d61cf623f22141102c8","seed":null,"values":null}', 'sha256:08ffbb417028f20bf2abd25610ad4cbcf366b50de860907a7f8cc3aded8cbec6', 'sha256:a88e8e3d1c05950a1b23622e9154a6864599523eff22f0b8553f0dcc8f94d498');
INSERT INTO public.audit_event VALUES (18, '2026-11-28 22:41:38.046275+00', 'ann@lab', 'lineage.add', 'code@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:a88e8e3d1c05950a1b23622e9154a6864599523eff22f0b8553f0dcc8f94d498', 'sha256:ea97ddc0abeee70a9bf333234bf3e1b672e9d98bf5b386628ddb58ab7d65d1eb');
INSERT INTO public.audit_event VALUES (19, '2026-11-28 22:41:38.170909+00', 'ann@lab', 'version.create', 'style@1', '{"attributes":"sha256:c1f4e44cca1d36a6514a0480f7c5aa179a896e565c164c49065361298c32e615","created_at":"2026-11-28T22:41:38.164669+00:00","digest":"blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84","kind":"skill","licence":null,"source":"/srv/golden4/models/tuned","store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:ea97ddc0abeee70a9bf333234bf3e1b672e9d98bf5b386628ddb58ab7d65d1eb', 'sha256:17976d32763fd3b35a9a1d1cd12f62a11b94980efd71aee9e9d02533e94feaed');
INSERT INTO public.audit_event VALUES (20, '2026-11-28 22:41:38.176339+00', 'ann@lab', 'files.add', 'style@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:fca93e12c21648c127f6c2004c4cbd532f3ba3b423942d0365b565513bc19799"},"rows":"sha256:e6d3bd4f617f76e8df1e520ef38fabdbdb8fb46d76e74100d4043d280a219998"}', 'sha256:17976d32763fd3b35a9a1d1cd12f62a11b94980efd71aee9e9d02533e94feaed', 'sha256:b1bf44e72ae57c0d5d251bb036dfc922667ff675803fe7dbe858376572c5b82b');
INSERT INTO public.audit_event VALUES (21, '2026-11-28 22:41:38.180889+00', 'ann@lab', 'tensors.add', 'style@1', '{"rows":"sha256:35801b0529a1ba6dc516b377787a2d791f3f333fe545651a6657f27b2110a2d5","tensors":7}', 'sha256:b1bf44e72ae57c0d5d251bb036dfc922667ff675803fe7dbe858376572c5b82b', 'sha256:5e0936501114a09ab3418b54d407faafc283007adbb473ab38399c65bffe0264');
INSERT INTO public.audit_event VALUES (22, '2026-11-28 22:41:38.186294+00', 'ann@lab', 'delta.add', 'style@1', '{"base":"golden/base@1","blob":"blake3:fca93e12c21648c127f6c2004c4cbd532f3ba3b423942d0365b565513bc19799","drop_rate":null,"encoding":"magnitude","rows":"sha256:8e14b0420a8b292115bbf4cf5aff8d6c97174101cc471f6513b275e87fa18e00","seed":null,"values":"int4"}', 'sha256:5e0936501114a09ab3418b54d407faafc283007adbb473ab38399c65bffe0264', 'sha256:782927735605ee19c3d79c0a37e620608f5a5240407e974ff45b2425eeeabaca');
INSERT INTO public.audit_event VALUES (23, '2026-11-28 22:41:38.189867+00', 'ann@lab', 'lineage.add', 'style@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:782927735605ee19c3d79c0a37e620608f5a5240407e974ff45b2425eeeabaca', 'sha256:f103f6a10c289c2f2ec0fb038559e7da7487d2234466b83d6327b6228481dcae');
INSERT INTO public.audit_event VALUES (24, '2026-11-28 22:41:38.257147+00', 'ann@lab', 'version.create', 'small@1', '{"attributes":"sha256:c1f4e44cca1d36a6514a0480f7c5aa179a896e565c164c49065361298c32e615","created_at":"2026-11-28T22:41:38.249547+00:00","digest":"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af","kind":"skill","licence":null,"source":"/srv/golden4/models/tuned","store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:f103f6a10c289c2f2ec0fb038559e7da7487d2234466b83d6327b6228481dcae', 'sha256:9c15040895c7f0f006951f65f0853f914516f5ef104e038058c57274bf538723');
INSERT INTO public.audit_event VALUES (25, '2026-11-28 22:41:38.263113+00', 'ann@lab', 'files.add', 'small@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:f36dcb2c56b37c3436d79b0208b796728684b7c33655558feaf6f991a46c5617"},"rows":"sha256:b6202429a52d4924824e35138f226b7f7eeb93d70e60ba5cab71b78b472ecdfb"}', 'sha256:9c15040895c7f0f006951f65f0853f914516f5ef104e038058c57274bf538723', 'sha256:1a40e3362925832c235fc063edb624bb14ab5ceb302cfe6cb3458c4057a40b75');
INSERT INTO public.audit_event VALUES (26, '2026-11-28 22:41:38.26917+00', 'ann@lab', 'tensors.add', 'small@1', '{"rows":"sha256:8e326159d86c748295bb0fff0d40a4f0d2a5e7e0bb1a23797cc145776aed6f11","tensors":7}', 'sha256:1a40e3362925832c235fc063edb624bb14ab5ceb302cfe6cb3458c4057a40b75', 'sha256:9846e9bf1fa399e567a272e90ca793db36af1216825be8fabed6bd0d13d40106');
INSERT INTO public.audit_event VALUES (27, '2026-11-28 22:41:38.274557+00', 'ann@lab', 'delta.add', 'small@1', '{"base":"golden/base@1","blob":"blake3:f36dcb2c56b37c3436d79b0208b796728684b7c33655558feaf6f991a46c5617","drop_rate":null,"encoding":"sign","rows":"sha256:8d58d17f7b1727ced41523b714b818f21051e2e319bed205f91ff42b21864bfa","seed":null,"values":null}', 'sha256:9846e9bf1fa399e567a272e90ca793db36af1216825be8fabed6bd0d13d40106', 'sha256:542e794e5e698a0848f6cc2f0c9c454e4db12e85dd438e0e0720ae02a5f0c5e3');
INSERT INTO public.audit_event VALUES (28, '2026-11-28 22:41:38.277749+00', 'ann@lab', 'lineage.add', 'small@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:542e794e5e698a0848f6cc2f0c9c454e4db12e85dd438e0e0720ae02a5f0c5e3', 'sha256:bd2b90e85409b16758714cfae745f03f4e934ccd01ebeca7fd3ec5c6a9d98f15');
INSERT INTO public.audit_event VALUES (29, '2026-11-28 22:41:38.35213+00', 'ann@lab', 'version.create', 'polite@1', '{"attributes":"sha256:fd9e56d2084664fd1f36d5e7031baa630245f4bff3b1b6cef34200e9c2e28699","created_at":"2026-11-28T22:41:38.345481+00:00","digest":"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b","kind":"skill","licence":"LicenseRef-llama3","source":"/srv/golden4/models/adapter","store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:bd2b90e85409b16758714cfae745f03f4e934ccd01ebeca7fd3ec5c6a9d98f15', 'sha256:02f977fc63f2db91098fb2340c846f5cf1131ba17fbcdecafeea3eb33a402cd4');
INSERT INTO public.audit_event VALUES (30, '2026-11-28 22:41:38.358119+00', 'ann@lab', 'files.add', 'polite@1', '{"files":{"delta.safetensors":"blake3:db0f242d7700cca0059b0fb121bc024d16ff1c35eef867087f4b6eb6e1af6d38"},"rows":"sha256:e84c93ee010b7c34162cd98bab2ad9d48ad390f39906789f36b9acf713de12fc"}', 'sha256:02f977fc63f2db91098fb2340c846f5cf1131ba17fbcdecafeea3eb33a402cd4', 'sha256:d8ee5148d3b4d5e0d80dd96259666d9a912b10181cedce101f46c650a4ad2529');
INSERT INTO public.audit_event VALUES (31, '2026-11-28 22:41:38.362493+00', 'ann@lab', 'tensors.add', 'polite@1', '{"rows":"sha256:72a2dbd3f83205b4c76675aaa6dbbdc2322572f4ab6393ee80d1fe3f252ddaf3","tensors":7}', 'sha256:d8ee5148d3b4d5e0d80dd96259666d9a912b10181cedce101f46c650a4ad2529', 'sha256:9593831be20e0665343da6f6dc2f94ff84ad627cf5b287c2aa19bc137fd42e02');
INSERT INTO public.audit_event VALUES (32, '2026-11-28 22:41:38.371906+00', 'ann@lab', 'delta.add', 'polite@1', '{"base":"golden/base@1","blob":"blake3:db0f242d7700cca0059b0fb121bc024d16ff1c35eef867087f4b6eb6e1af6d38","drop_rate":null,"encoding":"lora","rows":"sha256:98a797ef970c5c1a755c77313177ba80825a3de4883184333c82bf4fe714a0c7","seed":null,"values":null}', 'sha256:9593831be20e0665343da6f6dc2f94ff84ad627cf5b287c2aa19bc137fd42e02', 'sha256:6205199a13647098f85709f73701c89cca9be3e4f6712c3031300ba0fa28f16b');
INSERT INTO public.audit_event VALUES (33, '2026-11-28 22:41:38.37806+00', 'ann@lab', 'lineage.add', 'polite@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:6205199a13647098f85709f73701c89cca9be3e4f6712c3031300ba0fa28f16b', 'sha256:1c428718093cdc2596e73e6e61fee2da966484f44bc28a62e847eabe7b6e2afe');
INSERT INTO public.audit_event VALUES (34, '2026-11-28 22:41:38.711083+00', 'ann@lab', 'statistics.add', 'code@1', '{"blob":"blake3:d28a2c29c0ab4191682b524179f2b27b9f2e04bf4a17da4b095b983c4534138c","created_at":"2026-11-28T22:41:38.706273+00:00","data":"sha256:fb484bfff0423cc3fdeaa7494795d0716066a8d06b586cd470bca837659e04da","examples":4,"kind":"fisher","model":"blake3:bc07219f99091a240aa6b62335735b36657afd6462e86df24de90d24a97f6e57","rows":"sha256:f897d9b295fce04949bba6f40e3a9de15e731778d3bb2c4e47340bafaffca357","statistics":"blake3:8bbbc0206c0a3585e7ac3032361a0da36b5993b1ca257993dc88a8f415d26d20"}', 'sha256:1c428718093cdc2596e73e6e61fee2da966484f44bc28a62e847eabe7b6e2afe', 'sha256:4980d83ffe995c375b2dc6c6aaf6b4164811b2cba7faf8f8c7a04bc964186b4f');
INSERT INTO public.audit_event VALUES (35, '2026-11-28 22:41:38.737371+00', 'ann@lab', 'alias.set', 'math@1', '{"alias":"prod","at":"2026-11-28T22:41:38.730645+00:00","previous":null}', 'sha256:4980d83ffe995c375b2dc6c6aaf6b4164811b2cba7faf8f8c7a04bc964186b4f', 'sha256:cf0f6cbc340ba9ac489c13fe24c3775389a4482677b91f324312251ba5060045');
INSERT INTO public.audit_event VALUES (36, '2026-11-28 22:41:38.751993+00', 'ann@lab', 'alias.set', 'math@2', '{"alias":"prod","at":"2026-11-28T22:41:38.747325+00:00","previous":1}', 'sha256:cf0f6cbc340ba9ac489c13fe24c3775389a4482677b91f324312251ba5060045', 'sha256:008033f7d3cf69529979d5e764bde1541d825733230d59e46ae3a2018da88013');
INSERT INTO public.audit_event VALUES (37, '2026-11-28 22:41:38.796074+00', 'ann@lab', 'version.create', 'assistant@1', '{"attributes":"sha256:5aaff2afc026cd34bd7a6dbcd2d12f058e1a92419783ed214a6d0ee4ec2b3f27","created_at":"2026-11-28T22:41:38.787061+00:00","digest":"sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461","kind":"merge","licence":null,"source":null,"store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:008033f7d3cf69529979d5e764bde1541d825733230d59e46ae3a2018da88013', 'sha256:a20a56c4db127978cebe6cc18dc37ccf9c6648babb8656cd9842508d63125f4a');
INSERT INTO public.audit_event VALUES (38, '2026-11-28 22:41:38.80958+00', 'ann@lab', 'recipe.record', 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', '{"created_at":"2026-11-28T22:41:38.800991+00:00","inputs":"sha256:7a1b074e72e23d46b27340adef8648743afe4b4bbcf2b7d50b5189eeed582163","method":"dare_linear"}', 'sha256:a20a56c4db127978cebe6cc18dc37ccf9c6648babb8656cd9842508d63125f4a', 'sha256:9e809460b2323f0212d1bb218c6b405c3792c8cb7f00d987ed638d865faa1e3f');
INSERT INTO public.audit_event VALUES (39, '2026-11-28 22:41:38.813433+00', 'ann@lab', 'lineage.add', 'assistant@1', '{"parents":[{"parent":"golden/base@1","role":"base"},{"parent":"math@2","role":"head"},{"parent":"math@2","role":"skill"},{"parent":"polite@1","role":"skill"}]}', 'sha256:9e809460b2323f0212d1bb218c6b405c3792c8cb7f00d987ed638d865faa1e3f', 'sha256:abcb3233bee97f04b82277acaf90910ec2af54b416db852c4bb508905a6459aa');
INSERT INTO public.audit_event VALUES (40, '2026-11-28 22:41:38.841973+00', 'ann@lab', 'version.create', 'assistant@2', '{"attributes":"sha256:0012be9fdd9c0a5bd9f02211b096916ce299c646f7ca3fc382a3a4c89a8032b5","created_at":"2026-11-28T22:41:38.837065+00:00","digest":"sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c","kind":"merge","licence":null,"source":null,"store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:abcb3233bee97f04b82277acaf90910ec2af54b416db852c4bb508905a6459aa', 'sha256:fe9a57211e0839e93d6d49e88d4037b21483d8282cfc32d3e31d3080b828a233');
INSERT INTO public.audit_event VALUES (41, '2026-11-28 22:41:38.848384+00', 'ann@lab', 'recipe.record', 'sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', '{"created_at":"2026-11-28T22:41:38.844784+00:00","inputs":"sha256:be857db3b848632a3743a6679aabd4110e568b835369285421212956a346d322","method":"ties"}', 'sha256:fe9a57211e0839e93d6d49e88d4037b21483d8282cfc32d3e31d3080b828a233', 'sha256:5f58eca5c214a577099842a6b015ac28de542aa9116abb11699bc245ee13263c');
INSERT INTO public.audit_event VALUES (42, '2026-11-28 22:41:38.851539+00', 'ann@lab', 'lineage.add', 'assistant@2', '{"parents":[{"parent":"golden/base@1","role":"base"},{"parent":"code@1","role":"skill"},{"parent":"style@1","role":"skill"}]}', 'sha256:5f58eca5c214a577099842a6b015ac28de542aa9116abb11699bc245ee13263c', 'sha256:c9ec3e787ac843ef831d557056c9ba07b726821a2a1bddb37dea948e4004e597');
INSERT INTO public.audit_event VALUES (43, '2026-11-28 22:41:39.230502+00', 'ann@lab', 'version.create', 'several@1', '{"attributes":"sha256:04dfcfba4c6fe574a20189815bdb29bd05d82bb050aa2da5e7dfc224ef145bfd","created_at":"2026-11-28T22:41:39.225361+00:00","digest":"sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f","kind":"merge","licence":null,"source":null,"store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:c9ec3e787ac843ef831d557056c9ba07b726821a2a1bddb37dea948e4004e597', 'sha256:a5fd8ee4b734babf3442f13d6b05e8945be359c817ebba553cc5d3195f2da5eb');
INSERT INTO public.audit_event VALUES (44, '2026-11-28 22:41:39.236849+00', 'ann@lab', 'recipe.record', 'sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', '{"created_at":"2026-11-28T22:41:39.233351+00:00","inputs":"sha256:140c31f9fafcf5d980caf8bba536528c8d94faf826a0308ee62179c75389268e","method":"emr"}', 'sha256:a5fd8ee4b734babf3442f13d6b05e8945be359c817ebba553cc5d3195f2da5eb', 'sha256:36c7b22438a36854b594709792cfb47aad37c33509b3a2d3c19c6da19d1853ed');
INSERT INTO public.audit_event VALUES (45, '2026-11-28 22:41:39.239725+00', 'ann@lab', 'lineage.add', 'several@1', '{"parents":[{"parent":"golden/base@1","role":"base"},{"parent":"code@1","role":"skill"},{"parent":"polite@1","role":"skill"}]}', 'sha256:36c7b22438a36854b594709792cfb47aad37c33509b3a2d3c19c6da19d1853ed', 'sha256:78d4db6ad457ecd85de6e5808a363b14733622cd42c9acccbb28be57a890e084');
INSERT INTO public.audit_event VALUES (46, '2026-11-28 22:41:39.246698+00', 'ann@lab', 'files.add', 'several@1', '{"files":{"unified.safetensors":"blake3:b0f808761aa79cc54f11648e9bbf1b17c3f8f83cd04d7e4fee5a82fdbe78166e"},"rows":"sha256:3446e0228dd23ba9e12fc90ebaddae0d59c85199c66420509e8a34d43a64a136"}', 'sha256:78d4db6ad457ecd85de6e5808a363b14733622cd42c9acccbb28be57a890e084', 'sha256:1903d0f9fac86a330d48d7c69cdf5c71e4c80b26b4098d1562e0a23aca6add99');
INSERT INTO public.audit_event VALUES (47, '2026-11-28 22:41:39.273205+00', 'ann@lab', 'version.create', 'weighted@1', '{"attributes":"sha256:7611c09ca467e09a1692cb176b432e8d9c1a67d56c7f2d84886a470e74ac21d4","created_at":"2026-11-28T22:41:39.267308+00:00","digest":"sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124","kind":"merge","licence":null,"source":null,"store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:1903d0f9fac86a330d48d7c69cdf5c71e4c80b26b4098d1562e0a23aca6add99', 'sha256:ed3c261593ca0bdd98cf5ff7f66e62c103571b0a86f1f4e114a8d4e4204d2918');
INSERT INTO public.audit_event VALUES (48, '2026-11-28 22:41:39.281044+00', 'ann@lab', 'recipe.record', 'sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124', '{"created_at":"2026-11-28T22:41:39.276533+00:00","inputs":"sha256:87fa242fe40532cbf3ccc4c21cfcb24b2bd8241ffac8ebbfbe939103b732c5fb","method":"fisher"}', 'sha256:ed3c261593ca0bdd98cf5ff7f66e62c103571b0a86f1f4e114a8d4e4204d2918', 'sha256:6b6e7af977c064cc0e0b16a63c527d23f93181618fb8b95b0c25b1fc19843bcf');
INSERT INTO public.audit_event VALUES (49, '2026-11-28 22:41:39.284429+00', 'ann@lab', 'lineage.add', 'weighted@1', '{"parents":[{"parent":"golden/base@1","role":"base"},{"parent":"code@1","role":"skill"}]}', 'sha256:6b6e7af977c064cc0e0b16a63c527d23f93181618fb8b95b0c25b1fc19843bcf', 'sha256:c996f251a048f721d776912f8b890599259bf70f18bc8e917700b46a1c0ea407');
INSERT INTO public.audit_event VALUES (50, '2026-11-28 22:41:39.295558+00', 'ann@lab', 'alias.set', 'assistant@1', '{"alias":"prod","at":"2026-11-28T22:41:39.293161+00:00","previous":null}', 'sha256:c996f251a048f721d776912f8b890599259bf70f18bc8e917700b46a1c0ea407', 'sha256:99684f250499df6b7761bb9c63478f2c68137a5eba34b4af2e45ffe4599dd8e5');
INSERT INTO public.audit_event VALUES (51, '2026-11-28 22:41:39.312323+00', 'ann@lab', 'alias.set', 'assistant@2', '{"alias":"next","at":"2026-11-28T22:41:39.309289+00:00","previous":null}', 'sha256:99684f250499df6b7761bb9c63478f2c68137a5eba34b4af2e45ffe4599dd8e5', 'sha256:728aac235bcd4544cc4378639979d1cbdbddc7775f7bf117b91a25d3bc1b3fea');
INSERT INTO public.audit_event VALUES (52, '2026-11-28 22:41:39.326076+00', 'ann@lab', 'alias.remove', 'assistant@2', '{"alias":"next","at":"2026-11-28T22:41:39.321418+00:00"}', 'sha256:728aac235bcd4544cc4378639979d1cbdbddc7775f7bf117b91a25d3bc1b3fea', 'sha256:a1fc95acb7aa98043aa60cd0736f1dc72507db1afcba2c6eb828526155770314');
INSERT INTO public.audit_event VALUES (53, '2026-11-28 22:41:39.512821+00', 'ann@lab', 'materialization.record', 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', '{"created_at":"2026-11-28T22:41:39.509089+00:00","device":"cpu","engine":"numba","materialization":"2f639585-e4b1-4658-9825-639078bb68f9","message":"sha256:8f33121507a0ad8336e315ed210bc96c8cc7e8864f5b8f709617fe4630c06101","output_digest":"blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb","path":"/srv/golden4/mergestore/cache/c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461","row":"sha256:3e2f403c5f5cce35d2eb64ce6b8bab8a55a7c2292b5444ab0573d312184c8a34"}', 'sha256:a1fc95acb7aa98043aa60cd0736f1dc72507db1afcba2c6eb828526155770314', 'sha256:b8b9c5784444be67b7b9806d41b0275ca9d2527cfc84d383557907bf45cd7e63');
INSERT INTO public.audit_event VALUES (54, '2026-11-28 22:41:39.613418+00', 'ann@lab', 'materialization.record', 'sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', '{"created_at":"2026-11-28T22:41:39.610481+00:00","device":"cpu","engine":"numba","materialization":"63159ab0-d467-4fd3-8b4c-aea00f0a6f92","message":"sha256:18e7031e61eea2d45e893b9ec6a4f24d4c6e6e82a7aee9db3e941cfedb2e488e","output_digest":"blake3:4988e65b95678a845d3ebbf456e0ded0e1087f7be828a812207d0f3e23c14d6d","path":"/srv/golden4/mergestore/cache/2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c","row":"sha256:9a6bea60498dbee34ee27073927b53952387ab7c86069caba2381d59daaa502f"}', 'sha256:b8b9c5784444be67b7b9806d41b0275ca9d2527cfc84d383557907bf45cd7e63', 'sha256:1a807800fbda82b8679749f2c35f2f4f54b8a4ac61f949014f24b0b887c2dc09');
INSERT INTO public.audit_event VALUES (55, '2026-11-28 22:41:39.704168+00', 'ann@lab', 'recipe.record', 'sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', '{"created_at":"2026-11-28T22:41:39.693317+00:00","inputs":"sha256:f6742fc2d8e57d49050aa4219b065fb4610c6862fee21b1e36d8428f6a9d9725","method":"task_arithmetic"}', 'sha256:1a807800fbda82b8679749f2c35f2f4f54b8a4ac61f949014f24b0b887c2dc09', 'sha256:15be9670431b56d1b08d8532708429cebb8fc8f2c4bcad5275a0bd0114e2e054');
INSERT INTO public.audit_event VALUES (56, '2026-11-28 22:41:39.717915+00', 'ann@lab', 'materialization.record', 'sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', '{"created_at":"2026-11-28T22:41:39.715321+00:00","device":"cpu","engine":"numba","materialization":"f27b94cd-e105-4c01-bab1-2f2908c2cded","message":"sha256:7a7dc4c954ecaa0447b31a4cba6358dd94b45059d32bdaabcb955329832da80e","output_digest":"blake3:363898ad3442d2f0ab28d2e1579aba9636b2ef53e74dc627049b071b592324e2","path":"/srv/golden4/mergestore/cache/35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d","row":"sha256:bc19f3543163222bfe302f3a39c9089f7986bb6ade4e22974e4c50c32f9a6dfa"}', 'sha256:15be9670431b56d1b08d8532708429cebb8fc8f2c4bcad5275a0bd0114e2e054', 'sha256:b7bc3feb61e5a83e2c438e430085c930f3e7d82c04571c24e0e3a32573c3aab2');
INSERT INTO public.audit_event VALUES (57, '2026-11-28 22:41:39.802789+00', 'ann@lab', 'recipe.record', 'sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', '{"created_at":"2026-11-28T22:41:39.798180+00:00","inputs":"sha256:7fba3b4c506c6e778a68e310304f8b87cb104804509dcf1155cb646f6ee21e6d","method":"emr"}', 'sha256:b7bc3feb61e5a83e2c438e430085c930f3e7d82c04571c24e0e3a32573c3aab2', 'sha256:c964c34e5a168d3e2378b66f8e63db303dfe090b900da42ee05083f72e295d33');
INSERT INTO public.audit_event VALUES (58, '2026-11-28 22:41:39.81082+00', 'ann@lab', 'materialization.record', 'sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', '{"created_at":"2026-11-28T22:41:39.808684+00:00","device":"cpu","engine":"numba","materialization":"0d2481af-23b9-43ec-9071-0cf0eed925da","message":"sha256:f9b617230493c57acf9d24e04fdbccfaba8939442a54a184e1d9095274e18d7e","output_digest":"blake3:245e0af6b2cf3bf21251ffa78477ab9ecd9621d71c03b80fa3e120c347eb9162","path":"/srv/golden4/mergestore/cache/5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9","row":"sha256:a2ebfcb2e9076efd76d4afa6acc47ba86346389f86ef51b3c1ae331ac510614c"}', 'sha256:c964c34e5a168d3e2378b66f8e63db303dfe090b900da42ee05083f72e295d33', 'sha256:3a1c3b0bb6b88e62728edb359f03f2906c68f4d5a4e31ceff3b2e2428c8a3e00');
INSERT INTO public.audit_event VALUES (59, '2026-11-28 22:41:39.824788+00', 'ann@lab', 'version.yank', 'style@1', '{"reason":"trained on the wrong catalogue"}', 'sha256:3a1c3b0bb6b88e62728edb359f03f2906c68f4d5a4e31ceff3b2e2428c8a3e00', 'sha256:0842e45a18694a428d40ce9951cdc4781e5d72139c3b07531572765e720a75f0');
INSERT INTO public.audit_event VALUES (60, '2026-11-28 22:41:40.045882+00', 'ann@lab', 'materialization.record', 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', '{"created_at":"2026-11-28T22:41:40.042063+00:00","device":"cpu","engine":"cache","materialization":"6f84fcc6-14e1-403e-8bd9-551e7dfba8b5","message":"sha256:968460eed9bcdbd70d3de43b3ee200307264d54a80089b10e91d54abb03e1c8e","output_digest":"blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb","path":"/srv/golden4/assistant","row":"sha256:80dfbb578bc044f282eae8c0416bd5455e57ebdbfd83180afa9cea86088d16b8"}', 'sha256:0842e45a18694a428d40ce9951cdc4781e5d72139c3b07531572765e720a75f0', 'sha256:64d824b950589096cd5ab728e5b601a8448c4220a8c4ac8990b8bfaf3be8c581');
INSERT INTO public.audit_event VALUES (61, '2026-11-28 22:41:40.142162+00', 'ann@lab', 'version.create', 'again@1', '{"attributes":"sha256:9af32b8f30ce44b88e427db3745530c80c8cb0517e925e35a572d7529ae36d89","created_at":"2026-11-28T22:41:40.128748+00:00","digest":"blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1","kind":"skill","licence":"MIT","source":"/srv/golden4/assistant","store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:64d824b950589096cd5ab728e5b601a8448c4220a8c4ac8990b8bfaf3be8c581', 'sha256:f1845737bba01ce8189287c7fe00efe441c1f8aa16c653a37025fd0ef90b59b1');
INSERT INTO public.audit_event VALUES (62, '2026-11-28 22:41:40.153869+00', 'ann@lab', 'files.add', 'again@1', '{"files":{"config.json":"blake3:3bae35e3e24e43360bd22540a3666d4c67a1374bb5b65a956cd52c35d6a1cdc7","delta.safetensors":"blake3:c86e6d3dd5168965a80feb6a01463368377c73bdb5dc22c042e99832b3b74d70"},"rows":"sha256:ba0bdda2bbc228c11e276bdf53f9ddd35f0b72524bfaf6fe2543782a007c27f0"}', 'sha256:f1845737bba01ce8189287c7fe00efe441c1f8aa16c653a37025fd0ef90b59b1', 'sha256:59afbd92a5aa12cb26158c590c7951cddac8ae2ac2e53eb01275dd1851414ca5');
INSERT INTO public.audit_event VALUES (63, '2026-11-28 22:41:40.1667+00', 'ann@lab', 'tensors.add', 'again@1', '{"rows":"sha256:18dcac8e43d57eda60779ad6a85251e83f3dd1f5542640a3d2b0c6b8164d910b","tensors":7}', 'sha256:59afbd92a5aa12cb26158c590c7951cddac8ae2ac2e53eb01275dd1851414ca5', 'sha256:094c9acaf0e6e4bfbabef3bfffa73a8b5abc9a21634bdcf9b3625a58979df35a');
INSERT INTO public.audit_event VALUES (64, '2026-11-28 22:41:40.177812+00', 'ann@lab', 'delta.add', 'again@1', '{"base":"golden/base@1","blob":"blake3:c86e6d3dd5168965a80feb6a01463368377c73bdb5dc22c042e99832b3b74d70","drop_rate":0.899993896484375,"encoding":"dare","rows":"sha256:c177c00e8dc23990d393067b37f53ff14b613d90def96d79387a116aa6e51d23","seed":0,"values":"int4"}', 'sha256:094c9acaf0e6e4bfbabef3bfffa73a8b5abc9a21634bdcf9b3625a58979df35a', 'sha256:1a5ac2383fe6b19eff79123c4b65b22f0107c6f53c853adf394faa1f4faa543f');
INSERT INTO public.audit_event VALUES (65, '2026-11-28 22:41:40.184274+00', 'ann@lab', 'lineage.add', 'again@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:1a5ac2383fe6b19eff79123c4b65b22f0107c6f53c853adf394faa1f4faa543f', 'sha256:eb005f8596f7846495de485ef434adba22eaec05b6f028f5823c817faec2ec2a');
INSERT INTO public.audit_event VALUES (66, '2026-11-28 22:41:40.197678+00', 'ann@lab', 'lineage.add', 'again@1', '{"parents":[{"parent":"assistant@1","role":"merge"}]}', 'sha256:eb005f8596f7846495de485ef434adba22eaec05b6f028f5823c817faec2ec2a', 'sha256:1a981b0e1b42b3149d515b71c1ba88ed10d7d8dbcc905843224639c8b16abf56');
INSERT INTO public.audit_event VALUES (67, '2026-11-28 22:41:40.252069+00', 'ann@lab', 'version.create', 'twice@1', '{"attributes":"sha256:3e50108b93071b8e92f62ed3209bf2da82b34e26ab30b31456a15593e45984cf","created_at":"2026-11-28T22:41:40.245600+00:00","digest":"sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5","kind":"merge","licence":null,"source":null,"store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:1a981b0e1b42b3149d515b71c1ba88ed10d7d8dbcc905843224639c8b16abf56', 'sha256:b6f602be050408b5bb8d1e9eb64ee8791c73c787511b2fe27fed355c80f7eb76');
INSERT INTO public.audit_event VALUES (68, '2026-11-28 22:41:40.260515+00', 'ann@lab', 'recipe.record', 'sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5', '{"created_at":"2026-11-28T22:41:40.254978+00:00","inputs":"sha256:84753f13e3ee271e0dc86e5ef4cfc5f676c8f94f8d3dcf2c4d3df011688dc376","method":"dare_linear"}', 'sha256:b6f602be050408b5bb8d1e9eb64ee8791c73c787511b2fe27fed355c80f7eb76', 'sha256:b7f183c1a92dc37aafeded1a2922f9ed2246e726118986e3c6978e55ff40ed3b');
INSERT INTO public.audit_event VALUES (69, '2026-11-28 22:41:40.264538+00', 'ann@lab', 'lineage.add', 'twice@1', '{"parents":[{"parent":"golden/base@1","role":"base"},{"parent":"small@1","role":"skill"},{"parent":"again@1","role":"skill"}]}', 'sha256:b7f183c1a92dc37aafeded1a2922f9ed2246e726118986e3c6978e55ff40ed3b', 'sha256:87d20ce55e35a2b3b13042eb12cd743fc7d270f71dcf860c417612a5523fb0dc');
INSERT INTO public.audit_event VALUES (70, '2026-11-28 22:41:40.35485+00', 'ann@lab', 'materialization.record', 'sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5', '{"created_at":"2026-11-28T22:41:40.352518+00:00","device":"cpu","engine":"numba","materialization":"80be701f-ce23-4faf-901f-68bf9a835166","message":"sha256:577fbee2644f29c155c7a8b0dcea074f8bd003964f2447a0a4623d084d9ed26a","output_digest":"blake3:13ced069f1b80cf368489e2f35fbd970c8175bd8cb82726d91aa016ffa4b4a7f","path":"/srv/golden4/twice","row":"sha256:0698904ab0f29c6540fd6a0bd3090d33a02074ab7602d4be0d1952094b67f6f2"}', 'sha256:87d20ce55e35a2b3b13042eb12cd743fc7d270f71dcf860c417612a5523fb0dc', 'sha256:dddae4be54430f581023c0acaacce000bfcfd41ae266904ab30091f5473bb95c');
INSERT INTO public.audit_event VALUES (71, '2026-11-28 22:41:40.420371+00', 'ann@lab', 'version.create', 'nested@1', '{"attributes":"sha256:5cff41ce41fd0a13476b328d84c270a94f2e2b70f9ec9da718005643ef85d2ba","created_at":"2026-11-28T22:41:40.408601+00:00","digest":"blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a","kind":"skill","licence":null,"source":"/srv/golden4/twice","store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:dddae4be54430f581023c0acaacce000bfcfd41ae266904ab30091f5473bb95c', 'sha256:788ba4de137c88abe7686598d0fce31998a0a920093bd5035edb0c3923f22bb7');
INSERT INTO public.audit_event VALUES (72, '2026-11-28 22:41:40.428942+00', 'ann@lab', 'files.add', 'nested@1', '{"files":{"config.json":"blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3","delta.safetensors":"blake3:8674836b23c72b8f1727176b907abe04f1cfc9051135f3506fde95e99e6d47d7"},"rows":"sha256:943f7dade10547e09a48676b0eeee2724d5d9b5ebeb215e6c2036ac6a3b076b0"}', 'sha256:788ba4de137c88abe7686598d0fce31998a0a920093bd5035edb0c3923f22bb7', 'sha256:816c5a245aa81fb6d70627f94063812f137650c1b786f49bd859bb7ff0eaee3c');
INSERT INTO public.audit_event VALUES (73, '2026-11-28 22:41:40.442297+00', 'ann@lab', 'tensors.add', 'nested@1', '{"rows":"sha256:94a31c81c0734b633bc8cd2ab025d8327f942b74ed134f2f5a1beabc3a7077eb","tensors":7}', 'sha256:816c5a245aa81fb6d70627f94063812f137650c1b786f49bd859bb7ff0eaee3c', 'sha256:ed9d86b38f2f9b47630baf7b76e6218f27c1f36858dea90ab0c286f99b3a2f97');
INSERT INTO public.audit_event VALUES (74, '2026-11-28 22:41:40.447944+00', 'ann@lab', 'delta.add', 'nested@1', '{"base":"golden/base@1","blob":"blake3:8674836b23c72b8f1727176b907abe04f1cfc9051135f3506fde95e99e6d47d7","drop_rate":null,"encoding":"exact","rows":"sha256:e9482b3d62fb664758281c8d32976fcac112c1115f530fa2ad9d213d5fe735c4","seed":null,"values":null}', 'sha256:ed9d86b38f2f9b47630baf7b76e6218f27c1f36858dea90ab0c286f99b3a2f97', 'sha256:f1d67fe0256329145473240b910b2c856cf8ee3647934bb35963058a40eefbb1');
INSERT INTO public.audit_event VALUES (75, '2026-11-28 22:41:40.450736+00', 'ann@lab', 'lineage.add', 'nested@1', '{"parents":[{"parent":"golden/base@1","role":"base"}]}', 'sha256:f1d67fe0256329145473240b910b2c856cf8ee3647934bb35963058a40eefbb1', 'sha256:1542507e0c66b66ed033aed8829ec0e0886854328345ae4a0709d63b5a9f8949');
INSERT INTO public.audit_event VALUES (76, '2026-11-28 22:41:40.457672+00', 'ann@lab', 'lineage.add', 'nested@1', '{"parents":[{"parent":"twice@1","role":"merge"}]}', 'sha256:1542507e0c66b66ed033aed8829ec0e0886854328345ae4a0709d63b5a9f8949', 'sha256:0a58e3f344415d0575ed19c17b02e2e2797b163bcaa724075be183980837c3ea');
INSERT INTO public.audit_event VALUES (77, '2026-11-28 22:41:40.499468+00', 'ann@lab', 'version.create', 'stacked@1', '{"attributes":"sha256:b5d2a112aa9571c5fa5f6f7c64b160359ff37e6d30573e9bfe541ab7710976af","created_at":"2026-11-28T22:41:40.491121+00:00","digest":"sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822","kind":"merge","licence":null,"source":null,"store":"d8246b315ee94883a6d1436599ad35b9"}', 'sha256:0a58e3f344415d0575ed19c17b02e2e2797b163bcaa724075be183980837c3ea', 'sha256:f2cf2b9c13eae775f564a40aae9b4ca159a7b508cb21e528ef2d424e88eaf4e7');
INSERT INTO public.audit_event VALUES (78, '2026-11-28 22:41:40.509011+00', 'ann@lab', 'recipe.record', 'sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822', '{"created_at":"2026-11-28T22:41:40.503824+00:00","inputs":"sha256:f3ecc8d4b2efb46687ff961101e21c0dece21d066986c9ab481e2dc07e1e2d39","method":"dare_linear"}', 'sha256:f2cf2b9c13eae775f564a40aae9b4ca159a7b508cb21e528ef2d424e88eaf4e7', 'sha256:6418b8733def3ac2ce43372774254157e76410c2799fa376a2e0ec6f45ffbca7');
INSERT INTO public.audit_event VALUES (79, '2026-11-28 22:41:40.513406+00', 'ann@lab', 'lineage.add', 'stacked@1', '{"parents":[{"parent":"golden/base@1","role":"base"},{"parent":"math@1","role":"skill"},{"parent":"nested@1","role":"skill"}]}', 'sha256:6418b8733def3ac2ce43372774254157e76410c2799fa376a2e0ec6f45ffbca7', 'sha256:0fd2f0bc76417485b4bc8ec76566575486068d3bb31e6a4b3fdda60c0a387d1b');
INSERT INTO public.audit_event VALUES (80, '2026-11-28 22:41:40.612161+00', 'ann@lab', 'materialization.record', 'sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822', '{"created_at":"2026-11-28T22:41:40.609531+00:00","device":"cpu","engine":"numba","materialization":"06f68eb3-a8f4-434c-a77d-ec5e3c2e1686","message":"sha256:3b6188a3f3b7fe93bc81bc07f76a702880d0f1314ac7c45078b413cf2e471222","output_digest":"blake3:cb5b1c282685716131c1569167f10226a0e8c8054979069eea061020f029bbd2","path":"/srv/golden4/mergestore/cache/d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822","row":"sha256:b02c220d76c962d06b5f34304e536e1f1de840ad2e39c754561754c1c18508b9"}', 'sha256:0fd2f0bc76417485b4bc8ec76566575486068d3bb31e6a4b3fdda60c0a387d1b', 'sha256:886a0fb4403053867a44d35e7dc814b18c6e33da316df0a5608c5de0713d9bcd');
INSERT INTO public.audit_event VALUES (81, '2026-11-28 22:41:40.628345+00', 'ann@lab', 'pin.set', 'assistant@1', '{"reason":"shipped","row":"sha256:ccdbe2200560fb626c01f33ba533d1cd749bbe9e4e78b5d296c6ec4c445cee6a"}', 'sha256:886a0fb4403053867a44d35e7dc814b18c6e33da316df0a5608c5de0713d9bcd', 'sha256:b0126ff3315d5116f3c136eaa54e49839e093d02e6ad6842236861b6aa0e993a');
INSERT INTO public.audit_event VALUES (82, '2026-11-28 22:41:40.638163+00', 'ann@lab', 'pin.set', 'math@2', '{"reason":"by mistake","row":"sha256:98fef7f767f157330cc3f9840763995c6137ee42b94be4af6516d44461c19f9f"}', 'sha256:b0126ff3315d5116f3c136eaa54e49839e093d02e6ad6842236861b6aa0e993a', 'sha256:d5ff96167c2ec7503ad134bab1245ca42b0abaa13d8519575e20bb1562514432');
INSERT INTO public.audit_event VALUES (83, '2026-11-28 22:41:40.647766+00', 'ann@lab', 'pin.remove', 'math@2', '{"reason":"by mistake"}', 'sha256:d5ff96167c2ec7503ad134bab1245ca42b0abaa13d8519575e20bb1562514432', 'sha256:4953389e236310d4cb845932f571be7cfdaa18d5ef9c46582c54033652ec1f6f');
INSERT INTO public.audit_event VALUES (84, '2026-11-28 22:41:40.731755+00', 'ann@lab', 'evaluation.add', 'assistant@1', '{"dataset":"sums","evaluation":1,"metric":"accuracy","row":"sha256:157070d44a40e4eed8f547b4017d1ed9fb79e2e31d950cdfd91fb4246890ebe9","value":0.5}', 'sha256:4953389e236310d4cb845932f571be7cfdaa18d5ef9c46582c54033652ec1f6f', 'sha256:7cc3e35ad0ea1541fd9dac0f835145e4731aaad865aa108656c0f8f25db73409');
INSERT INTO public.audit_event VALUES (85, '2026-11-28 22:41:41.008914+00', 'ann@lab', 'bundle.export', 'golden/base@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:7cc3e35ad0ea1541fd9dac0f835145e4731aaad865aa108656c0f8f25db73409', 'sha256:ec4236bdd8f0be1342e9c80e1c2643febad43a40431b0539097c28a61d47b57b');
INSERT INTO public.audit_event VALUES (86, '2026-11-28 22:41:41.012348+00', 'ann@lab', 'bundle.export', 'code@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:ec4236bdd8f0be1342e9c80e1c2643febad43a40431b0539097c28a61d47b57b', 'sha256:aa4e207828763851ff524c93fcd0a0de9e55d07bd9d48dda9ed924d25054a408');
INSERT INTO public.audit_event VALUES (87, '2026-11-28 22:41:41.014929+00', 'ann@lab', 'bundle.export', 'math@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:aa4e207828763851ff524c93fcd0a0de9e55d07bd9d48dda9ed924d25054a408', 'sha256:f8fd1d67e0b2538a2ceee3e7420a771691dd34e48d2ec8c0746293eebf2b5f4a');
INSERT INTO public.audit_event VALUES (88, '2026-11-28 22:41:41.017339+00', 'ann@lab', 'bundle.export', 'math@2', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:f8fd1d67e0b2538a2ceee3e7420a771691dd34e48d2ec8c0746293eebf2b5f4a', 'sha256:67e9de6af5af39cb074d5267edbc4c29c8fa254660798303873c311966c75cba');
INSERT INTO public.audit_event VALUES (89, '2026-11-28 22:41:41.019551+00', 'ann@lab', 'bundle.export', 'polite@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:67e9de6af5af39cb074d5267edbc4c29c8fa254660798303873c311966c75cba', 'sha256:3c50392dbd39c82326a0f74fc626392c6485b77ad2436a6fbd38c122ea9d0667');
INSERT INTO public.audit_event VALUES (90, '2026-11-28 22:41:41.021805+00', 'ann@lab', 'bundle.export', 'assistant@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:3c50392dbd39c82326a0f74fc626392c6485b77ad2436a6fbd38c122ea9d0667', 'sha256:b67f56647b7a3440511b9fc7b6aa5da464323cbf5459bf07a483585f6d497519');
INSERT INTO public.audit_event VALUES (91, '2026-11-28 22:41:41.02419+00', 'ann@lab', 'bundle.export', 'again@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:b67f56647b7a3440511b9fc7b6aa5da464323cbf5459bf07a483585f6d497519', 'sha256:8df9306e85387f362ded879d7bcd818b84d28fbb023ad73cbc71b2f3894b44c4');
INSERT INTO public.audit_event VALUES (92, '2026-11-28 22:41:41.026317+00', 'ann@lab', 'bundle.export', 'several@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:8df9306e85387f362ded879d7bcd818b84d28fbb023ad73cbc71b2f3894b44c4', 'sha256:1b75b237270c0be01a9e2505f7f31e9df7f2accdf7a38acadfb1b4b4943a09c4');
INSERT INTO public.audit_event VALUES (93, '2026-11-28 22:41:41.028528+00', 'ann@lab', 'bundle.export', 'small@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:1b75b237270c0be01a9e2505f7f31e9df7f2accdf7a38acadfb1b4b4943a09c4', 'sha256:dcad7ff6097238545375a9cd26de5edfe26ec20498f70b26c8f194e89f114b13');
INSERT INTO public.audit_event VALUES (94, '2026-11-28 22:41:41.030687+00', 'ann@lab', 'bundle.export', 'twice@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:dcad7ff6097238545375a9cd26de5edfe26ec20498f70b26c8f194e89f114b13', 'sha256:649d7048c873f05f7d4adcb6b03a46fd9ff2a0fe7da4cc76eed381a9b9dda1cd');
INSERT INTO public.audit_event VALUES (95, '2026-11-28 22:41:41.033009+00', 'ann@lab', 'bundle.export', 'nested@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:649d7048c873f05f7d4adcb6b03a46fd9ff2a0fe7da4cc76eed381a9b9dda1cd', 'sha256:c502417480fe1e97aac4bcf1e8ce87ca3e2aa4003221a0b70222ee68078df556');
INSERT INTO public.audit_event VALUES (96, '2026-11-28 22:41:41.035654+00', 'ann@lab', 'bundle.export', 'stacked@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:c502417480fe1e97aac4bcf1e8ce87ca3e2aa4003221a0b70222ee68078df556', 'sha256:c538bbd5558789d459d35dcffe423546ef71625048dba290698556946df14841');
INSERT INTO public.audit_event VALUES (97, '2026-11-28 22:41:41.038138+00', 'ann@lab', 'bundle.export', 'weighted@1', '{"bundle":"sha256:3ab3c94a795f6ba080eaf70d686c92289e37da37f984492281e2f132c3e8dfa6","named":["again@1","assistant@1","code@1","math@2","several@1","stacked@1","twice@1","weighted@1"]}', 'sha256:c538bbd5558789d459d35dcffe423546ef71625048dba290698556946df14841', 'sha256:8939fc1f7f97bc8a46610c531627a30fdc4adb5d9f2621a15bd3383c093ffd9d');


--
-- Data for Name: blob; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.blob VALUES ('blake3:fca93e12c21648c127f6c2004c4cbd532f3ba3b423942d0365b565513bc19799', 6006, NULL, 'delta', '2026-11-28 22:41:38.17446+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:3bae35e3e24e43360bd22540a3666d4c67a1374bb5b65a956cd52c35d6a1cdc7', 78, 'sha256:a16c1e4edb8cc9eee3c8e645da14a3614e40e25adab3774f20d1ebe370f34452', 'companion', '2026-11-28 22:41:40.148965+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:8674836b23c72b8f1727176b907abe04f1cfc9051135f3506fde95e99e6d47d7', 5867, 'sha256:b336de2dd7186d254f4153eb3e06054970ffd241992074e4829f88762e2b05af', 'delta', '2026-11-28 22:41:40.424443+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:a71584a6bd0fd39a6e1f9960faf43a68f8c586c8b3e9d74960f77c2052cd6426', 5891, 'sha256:ed6384a0f8373d18022eabd0f5811609b5e8ffb6e574837be32c54661acb0678', 'delta', '2026-11-28 22:41:37.746649+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', 94, 'sha256:72289246a036ba59f7192f9ce216e241941f300dbf18ebf5a5c59fd062c8b929', 'companion', '2026-11-28 22:41:36.664808+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:b0f808761aa79cc54f11648e9bbf1b17c3f8f83cd04d7e4fee5a82fdbe78166e', 7377, 'sha256:b7f0977a6301b2db76030a3c07ca72bdde550c47bbbc4e9305e420341fda5f14', 'delta', '2026-11-28 22:41:39.244908+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:b699fe690a69f0d71354b569dd19fdf6cf9c362dba2c55f9aa17f224e2e08bf0', 6004, 'sha256:dce1a93b4bcafebc2bf1c0a9b0c2099e6ceb2248c8ec98fe38d18abfbecca3fa', 'delta', '2026-11-28 22:41:37.863068+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:bb61f22a4c2bcf48d9987b055a37941b313e511aae75a18b6ac66eb087b4840e', 6481, 'sha256:3a72eb788b6fb0b3758d8f31bdfdebf380126ab4cde05fc456f3cd1a7a94fc45', 'delta', '2026-11-28 22:41:38.025974+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:c86e6d3dd5168965a80feb6a01463368377c73bdb5dc22c042e99832b3b74d70', 6148, 'sha256:cbf7dec7a68b1a49e2e05df97e4264fb876ed9f2fa748bd0b0bef441f825015c', 'delta', '2026-11-28 22:41:40.148974+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:d28a2c29c0ab4191682b524179f2b27b9f2e04bf4a17da4b095b983c4534138c', 2815, 'sha256:6d30784666f4fcfbac2d03bb9bab9e4e1551a6ce15dceb46812fc2d8ead9ee33', 'statistics', '2026-11-28 22:41:38.703645+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:db0f242d7700cca0059b0fb121bc024d16ff1c35eef867087f4b6eb6e1af6d38', 5654, 'sha256:56014f8f025253a201fa463684078fc8abda0df4c510c034f394cc3b6e462c6a', 'delta', '2026-11-28 22:41:38.355844+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:e00558eca1699131e33e0c521cb747ab75910e12681c024f81445d78461012c4', 2015, 'sha256:99fc33ce708691195dfb219b4000d65c4df3455caeb8f6b5e202032ff5c1e9b5', 'weights', '2026-11-28 22:41:36.664816+00', '2026-11-28 22:41:41.358354+00');
INSERT INTO public.blob VALUES ('blake3:f36dcb2c56b37c3436d79b0208b796728684b7c33655558feaf6f991a46c5617', 5955, 'sha256:2b06b461f04a30f68ab5a065bebd16bee7f4df856a08017359df52b6cdae2e87', 'delta', '2026-11-28 22:41:38.26106+00', '2026-11-28 22:41:41.358354+00');


--
-- Data for Name: delta; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.delta VALUES (2, 1, 'dare', 'int4', 0.899993896484375, 0, '{"prefix": "bert.", "dropped_prefix": ""}', '{"total": {"elements": 410, "kept": 39, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"}}', 'blake3:a71584a6bd0fd39a6e1f9960faf43a68f8c586c8b3e9d74960f77c2052cd6426', 5891);
INSERT INTO public.delta VALUES (3, 1, 'dare', 'int4', 0.5, 7, '{"prefix": "bert.", "dropped_prefix": ""}', '{"total": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"}}', 'blake3:b699fe690a69f0d71354b569dd19fdf6cf9c362dba2c55f9aa17f224e2e08bf0', 6004);
INSERT INTO public.delta VALUES (4, 1, 'exact', NULL, NULL, NULL, '{"prefix": "bert.", "dropped_prefix": ""}', '{"total": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"}}', 'blake3:bb61f22a4c2bcf48d9987b055a37941b313e511aae75a18b6ac66eb087b4840e', 6481);
INSERT INTO public.delta VALUES (5, 1, 'magnitude', 'int4', NULL, NULL, '{"prefix": "bert.", "dropped_prefix": "", "density": 0.1, "trim": "model"}', '{"total": {"elements": 410, "kept": 43, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"}}', 'blake3:fca93e12c21648c127f6c2004c4cbd532f3ba3b423942d0365b565513bc19799', 6006);
INSERT INTO public.delta VALUES (6, 1, 'sign', NULL, NULL, NULL, '{"prefix": "bert.", "dropped_prefix": ""}', '{"total": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"}}', 'blake3:f36dcb2c56b37c3436d79b0208b796728684b7c33655558feaf6f991a46c5617', 5955);
INSERT INTO public.delta VALUES (7, 1, 'lora', NULL, NULL, NULL, '{"prefix": "", "dropped_prefix": ""}', '{"total": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "98.0% of the changed values are within 0.005 (largest 0.0086): DARE suits them"}}', 'blake3:db0f242d7700cca0059b0fb121bc024d16ff1c35eef867087f4b6eb6e1af6d38', 5654);
INSERT INTO public.delta VALUES (12, 1, 'dare', 'int4', 0.899993896484375, 0, '{"prefix": "bert.", "dropped_prefix": ""}', '{"total": {"elements": 416, "kept": 42, "unchanged": 272, "minimum": -0.00537109375, "maximum": 0.0047760009765625, "mean": 3.462659347300919e-05, "mean_magnitude": 0.0008142608813404178, "norm": 0.03281880817007568, "share_unchanged": 0.6538461538461539, "share_above_0.005": 0.002403846153846154, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "advice": {"verdict": "fine", "sentence": "99.3% of the changed values are within 0.005 (largest 0.0054): DARE suits them"}}', 'blake3:c86e6d3dd5168965a80feb6a01463368377c73bdb5dc22c042e99832b3b74d70', 6148);
INSERT INTO public.delta VALUES (14, 1, 'exact', NULL, NULL, NULL, '{"prefix": "", "dropped_prefix": ""}', '{"total": {"elements": 416, "kept": 381, "unchanged": 361, "minimum": -0.0234375, "maximum": 0.023193359375, "mean": 0.00013644994088770964, "mean_magnitude": 0.001151722758480061, "norm": 0.07415173255268487, "share_unchanged": 0.8677884615384616, "share_above_0.005": 0.12980769230769232, "share_above_0.01": 0.03125, "share_above_0.03": 0.0}, "advice": {"verdict": "caution", "sentence": "23.6% of the changed values are beyond 0.01: high drop rates will cost quality; compare with a lower drop rate, or with keeping every value"}}', 'blake3:8674836b23c72b8f1727176b907abe04f1cfc9051135f3506fde95e99e6d47d7', 5867);


--
-- Data for Name: evaluation; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.evaluation VALUES (1, 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 8, 'accuracy', 0.5, 'sums', '{"split": "test"}', '2026-11-28 22:41:40.728242+00', 'ann@lab');


--
-- Data for Name: garbage; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.garbage VALUES ('blake3:446d31213dd273ee33e8aef46d26e8223a9093944860e693c897fe05189fa792', '2026-11-28 22:41:41.518032+00');


--
-- Data for Name: lease; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: lineage_edge; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.lineage_edge VALUES (2, 1, 'base');
INSERT INTO public.lineage_edge VALUES (3, 1, 'base');
INSERT INTO public.lineage_edge VALUES (4, 1, 'base');
INSERT INTO public.lineage_edge VALUES (5, 1, 'base');
INSERT INTO public.lineage_edge VALUES (6, 1, 'base');
INSERT INTO public.lineage_edge VALUES (7, 1, 'base');
INSERT INTO public.lineage_edge VALUES (8, 1, 'base');
INSERT INTO public.lineage_edge VALUES (8, 3, 'head');
INSERT INTO public.lineage_edge VALUES (8, 3, 'skill');
INSERT INTO public.lineage_edge VALUES (8, 7, 'skill');
INSERT INTO public.lineage_edge VALUES (9, 1, 'base');
INSERT INTO public.lineage_edge VALUES (9, 4, 'skill');
INSERT INTO public.lineage_edge VALUES (9, 5, 'skill');
INSERT INTO public.lineage_edge VALUES (10, 1, 'base');
INSERT INTO public.lineage_edge VALUES (10, 4, 'skill');
INSERT INTO public.lineage_edge VALUES (10, 7, 'skill');
INSERT INTO public.lineage_edge VALUES (11, 1, 'base');
INSERT INTO public.lineage_edge VALUES (11, 4, 'skill');
INSERT INTO public.lineage_edge VALUES (12, 1, 'base');
INSERT INTO public.lineage_edge VALUES (12, 8, 'merge');
INSERT INTO public.lineage_edge VALUES (13, 1, 'base');
INSERT INTO public.lineage_edge VALUES (13, 6, 'skill');
INSERT INTO public.lineage_edge VALUES (13, 12, 'skill');
INSERT INTO public.lineage_edge VALUES (14, 1, 'base');
INSERT INTO public.lineage_edge VALUES (14, 13, 'merge');
INSERT INTO public.lineage_edge VALUES (15, 1, 'base');
INSERT INTO public.lineage_edge VALUES (15, 2, 'skill');
INSERT INTO public.lineage_edge VALUES (15, 14, 'skill');


--
-- Data for Name: materialization; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.materialization VALUES ('2f639585-e4b1-4658-9825-639078bb68f9', 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 8, 'blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb', 'cpu', 'numba', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.10921044600036112, 10628, '/srv/golden4/mergestore/cache/c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', true, NULL, '2026-11-28 22:41:39.509089+00', 'ann@lab', NULL);
INSERT INTO public.materialization VALUES ('63159ab0-d467-4fd3-8b4c-aea00f0a6f92', 'sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', 9, 'blake3:4988e65b95678a845d3ebbf456e0ded0e1087f7be828a812207d0f3e23c14d6d', 'cpu', 'numba', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.02794315400024061, 9919, '/srv/golden4/mergestore/cache/2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', true, NULL, '2026-11-28 22:41:39.610481+00', 'ann@lab', NULL);
INSERT INTO public.materialization VALUES ('f27b94cd-e105-4c01-bab1-2f2908c2cded', 'sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', NULL, 'blake3:363898ad3442d2f0ab28d2e1579aba9636b2ef53e74dc627049b071b592324e2', 'cpu', 'numba', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.012256414000148652, 8035, '/srv/golden4/mergestore/cache/35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', true, NULL, '2026-11-28 22:41:39.715321+00', 'ann@lab', NULL);
INSERT INTO public.materialization VALUES ('0d2481af-23b9-43ec-9071-0cf0eed925da', 'sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', 10, 'blake3:245e0af6b2cf3bf21251ffa78477ab9ecd9621d71c03b80fa3e120c347eb9162', 'cpu', 'numba', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.014788385000429116, 11108, '/srv/golden4/mergestore/cache/5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', true, NULL, '2026-11-28 22:41:39.808684+00', 'ann@lab', NULL);
INSERT INTO public.materialization VALUES ('6f84fcc6-14e1-403e-8bd9-551e7dfba8b5', 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 8, 'blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb', 'cpu', 'cache', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.007950043000164442, 10628, '/srv/golden4/assistant', false, NULL, '2026-11-28 22:41:40.042063+00', 'ann@lab', NULL);
INSERT INTO public.materialization VALUES ('80be701f-ce23-4faf-901f-68bf9a835166', 'sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5', 13, 'blake3:13ced069f1b80cf368489e2f35fbd970c8175bd8cb82726d91aa016ffa4b4a7f', 'cpu', 'numba', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.014139191000140272, 12490, '/srv/golden4/twice', false, NULL, '2026-11-28 22:41:40.352518+00', 'ann@lab', NULL);
INSERT INTO public.materialization VALUES ('06f68eb3-a8f4-434c-a77d-ec5e3c2e1686', 'sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822', 15, 'blake3:cb5b1c282685716131c1569167f10226a0e8c8054979069eea061020f029bbd2', 'cpu', 'numba', '{"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}', 0.019059894999372773, 14913, '/srv/golden4/mergestore/cache/d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822', true, NULL, '2026-11-28 22:41:40.609531+00', 'ann@lab', NULL);


--
-- Data for Name: mergestore_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.mergestore_version VALUES ('0004');


--
-- Data for Name: model; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.model VALUES (1, 'golden/base', 'base', '2026-11-28 22:41:36.641425+00', 'ann@lab');
INSERT INTO public.model VALUES (2, 'math', 'skill', '2026-11-28 22:41:37.736913+00', 'ann@lab');
INSERT INTO public.model VALUES (3, 'code', 'skill', '2026-11-28 22:41:38.012885+00', 'ann@lab');
INSERT INTO public.model VALUES (4, 'style', 'skill', '2026-11-28 22:41:38.164669+00', 'ann@lab');
INSERT INTO public.model VALUES (5, 'small', 'skill', '2026-11-28 22:41:38.249547+00', 'ann@lab');
INSERT INTO public.model VALUES (6, 'polite', 'skill', '2026-11-28 22:41:38.345481+00', 'ann@lab');
INSERT INTO public.model VALUES (7, 'assistant', 'merge', '2026-11-28 22:41:38.787061+00', 'ann@lab');
INSERT INTO public.model VALUES (8, 'several', 'merge', '2026-11-28 22:41:39.225361+00', 'ann@lab');
INSERT INTO public.model VALUES (9, 'weighted', 'merge', '2026-11-28 22:41:39.267308+00', 'ann@lab');
INSERT INTO public.model VALUES (10, 'again', 'skill', '2026-11-28 22:41:40.128748+00', 'ann@lab');
INSERT INTO public.model VALUES (11, 'twice', 'merge', '2026-11-28 22:41:40.2456+00', 'ann@lab');
INSERT INTO public.model VALUES (12, 'nested', 'skill', '2026-11-28 22:41:40.408601+00', 'ann@lab');
INSERT INTO public.model VALUES (13, 'stacked', 'merge', '2026-11-28 22:41:40.491121+00', 'ann@lab');


--
-- Data for Name: model_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.model_version VALUES (1, 1, 1, 'blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116', 'ready', NULL, 'Apache-2.0', '/srv/golden4/models/base', '{"files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "config": "bert", "referenced": null}', '2026-11-28 22:41:36.641425+00', 'ann@lab');
INSERT INTO public.model_version VALUES (2, 2, 1, 'blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5', 'ready', NULL, 'MIT', '/srv/golden4/models/tuned', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "1 tensors are F32 in the base and BF16 here", "buffers taken from the base: ''position_ids''", "tied weights not saved again, which follow their partner: ''lm_head.weight''", "tensors of its own, kept with the skill as its head: ''classifier.weight''", "DARE: fine: 100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"], "head": ["classifier.weight"], "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "training": {"meta": {"commit": "0a1b", "dataset": "sums"}}}', '2026-11-28 22:41:37.736913+00', 'ann@lab');
INSERT INTO public.model_version VALUES (3, 2, 2, 'blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a', 'ready', NULL, 'MIT', '/srv/golden4/models/tuned', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "1 tensors are F32 in the base and BF16 here", "buffers taken from the base: ''position_ids''", "tied weights not saved again, which follow their partner: ''lm_head.weight''", "tensors of its own, kept with the skill as its head: ''classifier.weight''", "DARE: fine: 100.0% of the changed values are within 0.005 (largest 0.0044): DARE suits them"], "head": ["classifier.weight"], "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12"}', '2026-11-28 22:41:37.850149+00', 'ann@lab');
INSERT INTO public.model_version VALUES (4, 3, 1, 'blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f', 'ready', NULL, 'Apache-2.0', '/srv/golden4/models/tuned', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "1 tensors are F32 in the base and BF16 here", "buffers taken from the base: ''position_ids''", "tied weights not saved again, which follow their partner: ''lm_head.weight''", "tensors of its own, kept with the skill as its head: ''classifier.weight''"], "head": ["classifier.weight"], "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12"}', '2026-11-28 22:41:38.012885+00', 'ann@lab');
INSERT INTO public.model_version VALUES (6, 5, 1, 'blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af', 'ready', NULL, NULL, '/srv/golden4/models/tuned', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "1 tensors are F32 in the base and BF16 here", "buffers taken from the base: ''position_ids''", "tied weights not saved again, which follow their partner: ''lm_head.weight''", "tensors of its own, kept with the skill as its head: ''classifier.weight''"], "head": ["classifier.weight"], "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12"}', '2026-11-28 22:41:38.249547+00', 'ann@lab');
INSERT INTO public.model_version VALUES (7, 6, 1, 'blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b', 'ready', NULL, 'LicenseRef-llama3', '/srv/golden4/models/adapter', '{"notes": ["tensors that the adapter replaces: ''norm.weight''"], "head": [], "fine_tuned": "blake3:e6ec8c0669b9c161da52cb5a7c02bea9d52d61861e3e22ff11654b9031fddec4", "adapter": "sha256:9b44f0bdaf4d69674141bc3d2344cf2d554953486b3a46b469682fe401b951c9"}', '2026-11-28 22:41:38.345481+00', 'ann@lab');
INSERT INTO public.model_version VALUES (8, 7, 1, 'sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 'ready', NULL, NULL, NULL, '{"expression": "golden/base + 0.6*math@prod + 0.4*polite"}', '2026-11-28 22:41:38.787061+00', 'ann@lab');
INSERT INTO public.model_version VALUES (9, 7, 2, 'sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', 'ready', NULL, NULL, NULL, '{"expression": "golden/base + 0.5*code - 0.25*style"}', '2026-11-28 22:41:38.837065+00', 'ann@lab');
INSERT INTO public.model_version VALUES (10, 8, 1, 'sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', 'ready', NULL, NULL, NULL, '{"expression": "golden/base + code + polite", "unified": {"digest": "blake3:316b12b433d0003e94f5087cd44b972c39a8254aabcef489ba22daf4e3962e52", "stored_bytes": 7377, "vector_bytes": 1223, "skills_bytes": 12135, "skills": [{"skill": "code@1", "scale": 0.9996962176113788, "agreeing": 0.9962825278810409, "stored_bytes": 1336, "skill_bytes": 6481}, {"skill": "polite@1", "scale": 0.47457885124736376, "agreeing": 0.7016129032258065, "stored_bytes": 970, "skill_bytes": 5654}]}}', '2026-11-28 22:41:39.225361+00', 'ann@lab');
INSERT INTO public.model_version VALUES (11, 9, 1, 'sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124', 'ready', NULL, NULL, NULL, '{"expression": "golden/base + code"}', '2026-11-28 22:41:39.267308+00', 'ann@lab');
INSERT INTO public.model_version VALUES (5, 4, 1, 'blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84', 'yanked', 'trained on the wrong catalogue', NULL, '/srv/golden4/models/tuned', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "1 tensors are F32 in the base and BF16 here", "buffers taken from the base: ''position_ids''", "tied weights not saved again, which follow their partner: ''lm_head.weight''", "tensors of its own, kept with the skill as its head: ''classifier.weight''"], "head": ["classifier.weight"], "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12"}', '2026-11-28 22:41:38.164669+00', 'ann@lab');
INSERT INTO public.model_version VALUES (12, 10, 1, 'blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1', 'ready', NULL, 'MIT', '/srv/golden4/assistant', '{"notes": ["the fine-tune''s names begin with ''bert.'', the base''s do not", "tensors of its own, kept with the skill as its head: ''classifier.weight''", "DARE: fine: 99.3% of the changed values are within 0.005 (largest 0.0054): DARE suits them"], "head": ["classifier.weight"], "fine_tuned": "blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb", "files": "sha256:eb86af430cdc57ed0d00d1145b9f15a661ff5beb9d9dbc93314dfcd7238199d4", "training": {"card": {"library_name": "transformers", "license": "other", "license_name": "Apache-2.0 AND LicenseRef-llama3 AND MIT", "tags": ["merge", "mergestore", "dare_linear"]}}}', '2026-11-28 22:41:40.128748+00', 'ann@lab');
INSERT INTO public.model_version VALUES (13, 11, 1, 'sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5', 'ready', NULL, NULL, NULL, '{"expression": "golden/base + 0.5*again + 0.5*small"}', '2026-11-28 22:41:40.2456+00', 'ann@lab');
INSERT INTO public.model_version VALUES (14, 12, 1, 'blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a', 'ready', NULL, NULL, '/srv/golden4/twice', '{"notes": ["DARE: caution: 23.6% of the changed values are beyond 0.01: high drop rates will cost quality; compare with a lower drop rate, or with keeping every value"], "head": [], "fine_tuned": "blake3:13ced069f1b80cf368489e2f35fbd970c8175bd8cb82726d91aa016ffa4b4a7f", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "training": {"card": {"library_name": "transformers", "tags": ["merge", "mergestore", "dare_linear"]}}}', '2026-11-28 22:41:40.408601+00', 'ann@lab');
INSERT INTO public.model_version VALUES (15, 13, 1, 'sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822', 'ready', NULL, NULL, NULL, '{"expression": "golden/base + 0.3*nested + 0.7*math@1"}', '2026-11-28 22:41:40.491121+00', 'ann@lab');


--
-- Data for Name: outbox; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.outbox VALUES (1, 'materialization', '2f639585-e4b1-4658-9825-639078bb68f9', '{"store": "d8246b315ee94883a6d1436599ad35b9", "materialization_id": "2f639585-e4b1-4658-9825-639078bb68f9", "recipe_digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "output_digest": "blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb", "expression": "golden/base + 0.6*math@prod + 0.4*polite", "merge": {"name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "dare_linear", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4}], "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "head": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "dtype": null}, "manifest": {"format": 1, "generator": "mergestore 0.1.0", "output_digest": "blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb", "tensors": {"bert.brain.weight": {"dtype": "BF16", "shape": [6, 40], "digest": "blake3:2fc26d6a302ec0d32faddbef9d3cb10305cb2c8b7a78aab787daf1ae87ae7b39"}, "bert.embed_tokens.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:31302b68e42d0cb7baae6ec00c0c21f2a2a425bc317f8fe8c3925b3d75680a83"}, "bert.half.weight": {"dtype": "F16", "shape": [5, 9], "digest": "blake3:7757a1119dcfee13997d5d9b39a12fac40cf50f7993c92085d17a171bfa19fa3"}, "bert.lm_head.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:31302b68e42d0cb7baae6ec00c0c21f2a2a425bc317f8fe8c3925b3d75680a83"}, "bert.mixed.weight": {"dtype": "F32", "shape": [3, 7], "digest": "blake3:0d1f3e27d06fc715266ae09cf229e5e4e609f68fbae046188cff823ae93cd123"}, "bert.norm.weight": {"dtype": "F32", "shape": [8], "digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c"}, "bert.position_ids": {"dtype": "I64", "shape": [1, 6], "digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e"}, "classifier.weight": {"dtype": "F32", "shape": [2, 8], "digest": "blake3:0d763ae64d5b398fc35e681cd9b96baec2037d230214133b736ff334c6aaf4a1"}}, "files": {"model.safetensors": {"size": 2214, "sha256": "sha256:9eb85fc5ea86f54e643ea8a86225c46cfcb4219bfdebc35446c41124f651d642"}, "config.json": {"size": 78, "sha256": "sha256:a16c1e4edb8cc9eee3c8e645da14a3614e40e25adab3774f20d1ebe370f34452"}}, "expression": "golden/base + 0.6*math@prod + 0.4*polite", "merge": {"name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "dare_linear", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4}], "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "head": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "dtype": null}, "recipe_digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "source": null, "weight": 0.6, "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}}, {"name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "source": null, "weight": 0.4, "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:e6ec8c0669b9c161da52cb5a7c02bea9d52d61861e3e22ff11654b9031fddec4", "prefix": "", "dropped_prefix": "", "head": [], "taken_from_base": {}}], "head": {"name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "source": null}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "math@2", "kind": "skill", "name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "state": "ready", "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "state": "ready", "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "assistant@1", "kind": "merge", "name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "state": "ready", "expression": "golden/base + 0.6*math@prod + 0.4*polite"}], "edges": [{"child": "math@2", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "math@2", "role": "head"}, {"child": "assistant@1", "parent": "math@2", "role": "skill"}, {"child": "assistant@1", "parent": "polite@1", "role": "skill"}]}, "digest": "sha256:60babddf164815a7cc0c341ae5192099de1c86fe3bffcd4ddd246cda77860201"}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "math@2", "kind": "skill", "name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "state": "ready", "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "state": "ready", "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "assistant@1", "kind": "merge", "name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "state": "ready", "expression": "golden/base + 0.6*math@prod + 0.4*polite"}], "edges": [{"child": "math@2", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "math@2", "role": "head"}, {"child": "assistant@1", "parent": "math@2", "role": "skill"}, {"child": "assistant@1", "parent": "polite@1", "role": "skill"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6, "encoding": "dare", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "licence": "MIT"}, {"name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4, "encoding": "lora", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": "LicenseRef-llama3"}], "method": "dare_linear", "semantics": "paper", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "dtype": null, "device": "cpu", "engine": "numba", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.10921044600036112, "gb_per_second": 9.731669807451256e-05, "bytes": 10628.0, "tensors": 8.0, "density": 0.3428030303030303, "delta_norm": 0.037614111578198675}, "path": "/srv/golden4/mergestore/cache/c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "model_card": "---\nlibrary_name: transformers\ntags:\n- merge\n- mergestore\n- dare_linear\nlicense: other\nlicense_name: Apache-2.0 AND LicenseRef-llama3 AND MIT\n---\n\n# assistant\n\nA merge of 2 skills of `golden/base@1`, made by mergestore:\n\n    golden/base + 0.6*math@prod + 0.4*polite\n\nMethod: `dare_linear`, task arithmetic on deltas dropped at random and rescaled: \u03b8\u2080 + \u03bb \u03a3 w\u2096\u00b7(m\u2096\u2299\u03c4\u2096)/(1\u2212p\u2096), m\u2096 ~ Bernoulli(1\u2212p\u2096) (Yu et al. 2024, https://arxiv.org/abs/2311.03099)\n\nParameters: `drop_rate=0.899993896484375`, `lambda=1`, `seed=0`\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `math@2` | 0.6 | dare | 0.5 | 7 | MIT | `blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a` |\n| skill `polite@1` | 0.4 | lora |  |  | LicenseRef-llama3 | `blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b` |\n\n- recipe digest: `sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461`\n- output digest: `blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb`\n- head (tensors that the base lacks): from `math@2`\n- licences of all that went in, together: `Apache-2.0 AND LicenseRef-llama3 AND MIT` (a list of what was stated, not legal advice)\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 1,\n  \"head\": \"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a\",\n  \"method\": \"dare_linear\",\n  \"parameters\": {\n    \"drop_rate\": 0.899993896484375,\n    \"lambda\": 1,\n    \"seed\": 0\n  },\n  \"semantics\": \"paper\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a\",\n      \"weight\": 0.6\n    },\n    {\n      \"skill\": \"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b\",\n      \"weight\": 0.4\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T22:41:39.376445+00:00", "finished_at": "2026-11-28T22:41:39.497733+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 22:41:39.504445+00', NULL);
INSERT INTO public.outbox VALUES (2, 'materialization', '63159ab0-d467-4fd3-8b4c-aea00f0a6f92', '{"store": "d8246b315ee94883a6d1436599ad35b9", "materialization_id": "63159ab0-d467-4fd3-8b4c-aea00f0a6f92", "recipe_digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "output_digest": "blake3:4988e65b95678a845d3ebbf456e0ded0e1087f7be828a812207d0f3e23c14d6d", "expression": "golden/base + 0.5*code - 0.25*style", "merge": {"name": "assistant", "version": 2, "digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "ties", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 0.5}, {"skill": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "weight": -0.25}], "parameters": {"density": 0.2, "divisor": "count", "lambda": 1, "trim": "model"}, "head": null, "dtype": null}, "manifest": {"format": 1, "generator": "mergestore 0.1.0", "output_digest": "blake3:4988e65b95678a845d3ebbf456e0ded0e1087f7be828a812207d0f3e23c14d6d", "tensors": {"brain.weight": {"dtype": "BF16", "shape": [6, 40], "digest": "blake3:df3f061954030ed3842182dd1a76d5191d4cdb0593dab6c500ef1e65cee013a2"}, "embed_tokens.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:2e6d9861fc49ec1a15d7190525fb6b2cafd56ec61ff730ffd404071f317d6f97"}, "half.weight": {"dtype": "F16", "shape": [5, 9], "digest": "blake3:f2cc0e291f23467a55a314b7589474d3423e84413c550db790003fae7d5d9602"}, "lm_head.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:2e6d9861fc49ec1a15d7190525fb6b2cafd56ec61ff730ffd404071f317d6f97"}, "mixed.weight": {"dtype": "F32", "shape": [3, 7], "digest": "blake3:eb9551aa2d954c4b8387a03a02362ecef8a117e8d245cc9428f905245cdfb2bc"}, "norm.weight": {"dtype": "F32", "shape": [8], "digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c"}, "position_ids": {"dtype": "I64", "shape": [1, 6], "digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e"}}, "files": {"model.safetensors": {"size": 2046, "sha256": "sha256:f3cb3e8259ef7191090f75a0b892db1b94f9daae27685005b595d41fdfd91eeb"}, "config.json": {"size": 94, "sha256": "sha256:72289246a036ba59f7192f9ce216e241941f300dbf18ebf5a5c59fd062c8b929"}}, "expression": "golden/base + 0.5*code - 0.25*style", "merge": {"name": "assistant", "version": 2, "digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "ties", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 0.5}, {"skill": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "weight": -0.25}], "parameters": {"density": 0.2, "divisor": "count", "lambda": 1, "trim": "model"}, "head": null, "dtype": null}, "recipe_digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "Apache-2.0", "source": null, "weight": 0.5, "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}}, {"name": "style", "version": 1, "digest": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "licence": null, "source": null, "weight": -0.25, "encoding": "magnitude", "values": "int4", "drop_rate": null, "seed": null, "density": 0.1, "trim": "model", "statistics": {"elements": 410, "kept": 43, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}}], "head": null, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "code@1", "kind": "skill", "name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "Apache-2.0", "state": "ready", "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "style@1", "kind": "skill", "name": "style", "version": 1, "digest": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "licence": null, "state": "ready", "encoding": "magnitude", "values": "int4", "drop_rate": null, "seed": null, "density": 0.1, "trim": "model", "statistics": {"elements": 410, "kept": 43, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "assistant@2", "kind": "merge", "name": "assistant", "version": 2, "digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "licence": null, "state": "ready", "expression": "golden/base + 0.5*code - 0.25*style"}], "edges": [{"child": "code@1", "parent": "golden/base@1", "role": "base"}, {"child": "style@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@2", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@2", "parent": "code@1", "role": "skill"}, {"child": "assistant@2", "parent": "style@1", "role": "skill"}]}, "digest": "sha256:e907e763c95120ec12d7a18bc38a7ac1f91ad85eb59bca851cf56675c082bae4"}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "code@1", "kind": "skill", "name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "Apache-2.0", "state": "ready", "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "style@1", "kind": "skill", "name": "style", "version": 1, "digest": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "licence": null, "state": "ready", "encoding": "magnitude", "values": "int4", "drop_rate": null, "seed": null, "density": 0.1, "trim": "model", "statistics": {"elements": 410, "kept": 43, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "assistant@2", "kind": "merge", "name": "assistant", "version": 2, "digest": "sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "licence": null, "state": "ready", "expression": "golden/base + 0.5*code - 0.25*style"}], "edges": [{"child": "code@1", "parent": "golden/base@1", "role": "base"}, {"child": "style@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@2", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@2", "parent": "code@1", "role": "skill"}, {"child": "assistant@2", "parent": "style@1", "role": "skill"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 0.5, "encoding": "exact", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": "Apache-2.0"}, {"name": "style", "version": 1, "digest": "blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84", "weight": -0.25, "encoding": "magnitude", "drop_rate": null, "seed": null, "density": 0.1, "trim": "model", "licence": null}], "method": "ties", "semantics": "paper", "parameters": {"density": 0.2, "divisor": "count", "lambda": 1, "trim": "model"}, "dtype": null, "device": "cpu", "engine": "numba", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.02794315400024061, "gb_per_second": 0.00035497066651511813, "bytes": 9919.0, "tensors": 7.0, "density": 0.205078125, "delta_norm": 0.01724910929404233}, "path": "/srv/golden4/mergestore/cache/2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c", "model_card": "---\nlibrary_name: transformers\ntags:\n- merge\n- mergestore\n- ties\n---\n\n# assistant\n\nA merge of 2 skills of `golden/base@1`, made by mergestore:\n\n    golden/base + 0.5*code - 0.25*style\n\nMethod: `ties`, trim small values, elect a sign, average what agrees: \u03b8\u2080 + \u03bb\u00b7mean of the agreeing non-zero w\u2096\u00b7trim(\u03b4\u2096) (Yadav et al. 2023, https://arxiv.org/abs/2306.01708)\n\nParameters: `density=0.2`, `divisor=count`, `lambda=1`, `trim=model`\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `code@1` | 0.5 | exact |  |  | Apache-2.0 | `blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f` |\n| skill `style@1` | -0.25 | magnitude, density 0.1 |  |  | not stated | `blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84` |\n\n- recipe digest: `sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c`\n- output digest: `blake3:4988e65b95678a845d3ebbf456e0ded0e1087f7be828a812207d0f3e23c14d6d`\n- licence not stated for: style@1\n- licences of all that went in, together: `Apache-2.0 AND NOASSERTION` (a list of what was stated, not legal advice)\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 1,\n  \"head\": null,\n  \"method\": \"ties\",\n  \"parameters\": {\n    \"density\": 0.2,\n    \"divisor\": \"count\",\n    \"lambda\": 1,\n    \"trim\": \"model\"\n  },\n  \"semantics\": \"paper\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f\",\n      \"weight\": 0.5\n    },\n    {\n      \"skill\": \"blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84\",\n      \"weight\": -0.25\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T22:41:39.563667+00:00", "finished_at": "2026-11-28T22:41:39.604609+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 22:41:39.607596+00', NULL);
INSERT INTO public.outbox VALUES (3, 'materialization', 'f27b94cd-e105-4c01-bab1-2f2908c2cded', '{"store": "d8246b315ee94883a6d1436599ad35b9", "materialization_id": "f27b94cd-e105-4c01-bab1-2f2908c2cded", "recipe_digest": "sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d", "output_digest": "blake3:363898ad3442d2f0ab28d2e1579aba9636b2ef53e74dc627049b071b592324e2", "expression": "golden/base + 0.5*small", "merge": null, "recipe": {"format": 1, "semantics": "paper", "method": "task_arithmetic", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5}], "parameters": {"lambda": 1.0}, "head": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "dtype": null}, "manifest": {"format": 1, "generator": "mergestore 0.1.0", "output_digest": "blake3:363898ad3442d2f0ab28d2e1579aba9636b2ef53e74dc627049b071b592324e2", "tensors": {"bert.brain.weight": {"dtype": "BF16", "shape": [6, 40], "digest": "blake3:b9b17cad51c887ae6761423b5ca6f23ce6f68cb483bf6a782f4a2f18a1dbc4f1"}, "bert.embed_tokens.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:5b7643b066aa1934eafd38584c474b4b6c17ea0cd24976c22889ce9b2d920949"}, "bert.half.weight": {"dtype": "F16", "shape": [5, 9], "digest": "blake3:3ebabb693ed1a68a938434a5098825014b1260b64f53e8e16209f37895fac57d"}, "bert.lm_head.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:5b7643b066aa1934eafd38584c474b4b6c17ea0cd24976c22889ce9b2d920949"}, "bert.mixed.weight": {"dtype": "F32", "shape": [3, 7], "digest": "blake3:05d9e993841983102f6a2c101fc4922fcfab30d88dc427786d937dc76f25e593"}, "bert.norm.weight": {"dtype": "F32", "shape": [8], "digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c"}, "bert.position_ids": {"dtype": "I64", "shape": [1, 6], "digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e"}, "classifier.weight": {"dtype": "F32", "shape": [2, 8], "digest": "blake3:0d763ae64d5b398fc35e681cd9b96baec2037d230214133b736ff334c6aaf4a1"}}, "files": {"model.safetensors": {"size": 2214, "sha256": "sha256:3bde0d44ffa248a062f7811fd09def17f485e7bf603cd325daf33ec7e52cf4cf"}, "config.json": {"size": 78, "sha256": "sha256:a16c1e4edb8cc9eee3c8e645da14a3614e40e25adab3774f20d1ebe370f34452"}}, "expression": "golden/base + 0.5*small", "merge": null, "recipe": {"format": 1, "semantics": "paper", "method": "task_arithmetic", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5}], "parameters": {"lambda": 1.0}, "head": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "dtype": null}, "recipe_digest": "sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d", "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "source": null, "weight": 0.5, "encoding": "sign", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}}], "head": {"name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "source": null}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "small@1", "kind": "skill", "name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "state": "ready", "encoding": "sign", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}], "edges": [{"child": "small@1", "parent": "golden/base@1", "role": "base"}]}, "digest": "sha256:56c35ad43ae5cca6c29a328922b4974a899ecc8d413c06c43ff88075674a3799"}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "small@1", "kind": "skill", "name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "state": "ready", "encoding": "sign", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}], "edges": [{"child": "small@1", "parent": "golden/base@1", "role": "base"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5, "encoding": "sign", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": null}], "method": "task_arithmetic", "semantics": "paper", "parameters": {"lambda": 1.0}, "dtype": null, "device": "cpu", "engine": "numba", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.012256414000148652, "gb_per_second": 0.0006555751135611564, "bytes": 8035.0, "tensors": 8.0, "density": 0.9431818181818182, "delta_norm": 0.014251997235083592}, "path": "/srv/golden4/mergestore/cache/35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d", "model_card": "---\nlibrary_name: transformers\ntags:\n- merge\n- mergestore\n- task_arithmetic\n---\n\n# golden/base + 0.5*small\n\nA merge of one skill of `golden/base@1`, made by mergestore:\n\n    golden/base + 0.5*small\n\nMethod: `task_arithmetic`, add weighted deltas to the base: \u03b8\u2080 + \u03bb \u03a3 w\u2096\u03b4\u2096 (Ilharco et al. 2023, https://arxiv.org/abs/2212.04089)\n\nParameters: `lambda=1`\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `small@1` | 0.5 | sign |  |  | not stated | `blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af` |\n\n- recipe digest: `sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d`\n- output digest: `blake3:363898ad3442d2f0ab28d2e1579aba9636b2ef53e74dc627049b071b592324e2`\n- head (tensors that the base lacks): from `small@1`\n- licence not stated for: small@1\n- licences of all that went in, together: `Apache-2.0 AND NOASSERTION` (a list of what was stated, not legal advice)\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 1,\n  \"head\": \"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af\",\n  \"method\": \"task_arithmetic\",\n  \"parameters\": {\n    \"lambda\": 1.0\n  },\n  \"semantics\": \"paper\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af\",\n      \"weight\": 0.5\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T22:41:39.668746+00:00", "finished_at": "2026-11-28T22:41:39.691861+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 22:41:39.713333+00', NULL);
INSERT INTO public.outbox VALUES (4, 'materialization', '0d2481af-23b9-43ec-9071-0cf0eed925da', '{"store": "d8246b315ee94883a6d1436599ad35b9", "materialization_id": "0d2481af-23b9-43ec-9071-0cf0eed925da", "recipe_digest": "sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9", "output_digest": "blake3:245e0af6b2cf3bf21251ffa78477ab9ecd9621d71c03b80fa3e120c347eb9162", "expression": "golden/base + code + polite", "merge": {"name": "several", "version": 1, "digest": "sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f", "licence": null, "source": null}, "recipe": {"task": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "format": 2, "semantics": "paper", "method": "emr", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 1.0}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 1.0}], "parameters": {}, "head": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "dtype": null}, "manifest": {"format": 1, "generator": "mergestore 0.1.0", "output_digest": "blake3:245e0af6b2cf3bf21251ffa78477ab9ecd9621d71c03b80fa3e120c347eb9162", "tensors": {"bert.brain.weight": {"dtype": "BF16", "shape": [6, 40], "digest": "blake3:edd031cb7c1674b110a970b53c05a3022c3453abd35d00f1d9fcbc415969c1ca"}, "bert.embed_tokens.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:3d287efc030dc23b9cb5a0b63ff0c02b93e65dfbbce7cab0493719401a9a6e85"}, "bert.half.weight": {"dtype": "F16", "shape": [5, 9], "digest": "blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91"}, "bert.lm_head.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:3d287efc030dc23b9cb5a0b63ff0c02b93e65dfbbce7cab0493719401a9a6e85"}, "bert.mixed.weight": {"dtype": "F32", "shape": [3, 7], "digest": "blake3:4d46798667244fe8057933d98738be82a13889d9f3b900942a28b6f4d0f7023a"}, "bert.norm.weight": {"dtype": "F32", "shape": [8], "digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c"}, "bert.position_ids": {"dtype": "I64", "shape": [1, 6], "digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e"}, "classifier.weight": {"dtype": "F32", "shape": [2, 8], "digest": "blake3:0d763ae64d5b398fc35e681cd9b96baec2037d230214133b736ff334c6aaf4a1"}}, "files": {"model.safetensors": {"size": 2214, "sha256": "sha256:0a1589ed4acfafc7ed644350920df529c56d02b8fa9969d3f9a3bfb24e19b422"}, "config.json": {"size": 78, "sha256": "sha256:a16c1e4edb8cc9eee3c8e645da14a3614e40e25adab3774f20d1ebe370f34452"}}, "expression": "golden/base + code + polite", "merge": {"name": "several", "version": 1, "digest": "sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f", "licence": null, "source": null}, "recipe": {"task": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "format": 2, "semantics": "paper", "method": "emr", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 1.0}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 1.0}], "parameters": {}, "head": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "dtype": null}, "recipe_digest": "sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9", "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "Apache-2.0", "source": null, "weight": 1.0, "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}}, {"name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "source": null, "weight": 1.0, "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:e6ec8c0669b9c161da52cb5a7c02bea9d52d61861e3e22ff11654b9031fddec4", "prefix": "", "dropped_prefix": "", "head": [], "taken_from_base": {}}], "head": {"name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "Apache-2.0", "source": null}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "code@1", "kind": "skill", "name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "Apache-2.0", "state": "ready", "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "state": "ready", "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "several@1", "kind": "merge", "name": "several", "version": 1, "digest": "sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f", "licence": null, "state": "ready", "expression": "golden/base + code + polite", "recipe": {"base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "dtype": null, "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "format": 1, "head": null, "method": "emr", "parameters": {}, "semantics": "paper", "terms": [{"skill": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 1}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 1}]}}], "edges": [{"child": "code@1", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "several@1", "parent": "golden/base@1", "role": "base"}, {"child": "several@1", "parent": "code@1", "role": "skill"}, {"child": "several@1", "parent": "polite@1", "role": "skill"}]}, "digest": "sha256:4be3536120f165582ff0ca267d9efa0953c26412a3aad79774abd490a5d1a620"}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "code@1", "kind": "skill", "name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "licence": "Apache-2.0", "state": "ready", "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "state": "ready", "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "several@1", "kind": "merge", "name": "several", "version": 1, "digest": "sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f", "licence": null, "state": "ready", "expression": "golden/base + code + polite", "recipe": {"base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "dtype": null, "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "format": 1, "head": null, "method": "emr", "parameters": {}, "semantics": "paper", "terms": [{"skill": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 1}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 1}]}}], "edges": [{"child": "code@1", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "several@1", "parent": "golden/base@1", "role": "base"}, {"child": "several@1", "parent": "code@1", "role": "skill"}, {"child": "several@1", "parent": "polite@1", "role": "skill"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "code", "version": 1, "digest": "blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f", "weight": 1.0, "encoding": "exact", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": "Apache-2.0"}, {"name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 1.0, "encoding": "lora", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": "LicenseRef-llama3"}], "method": "emr", "semantics": "paper", "parameters": {}, "dtype": null, "device": "cpu", "engine": "numba", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.014788385000429116, "gb_per_second": 0.0007511300253325618, "bytes": 11108.0, "tensors": 8.0, "density": 0.6287878787878788, "delta_norm": 0.04079460289148448}, "path": "/srv/golden4/mergestore/cache/5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9", "model_card": "---\nlibrary_name: transformers\ntags:\n- merge\n- mergestore\n- emr\nlicense: other\nlicense_name: Apache-2.0 AND LicenseRef-llama3\n---\n\n# several, task code\n\nA merge of 2 skills of `golden/base@1`, made by mergestore:\n\n    golden/base + code + polite\n\nMethod: `emr`, store one vector for all skills, with a mask and a scale for each, and materialize any one of them: \u03b8\u2080 + \u03bb\u2096\u00b7M\u2096\u2299\u03c4_uni, k the task; \u03c4_uni the largest \u03c4 of the elected sign, M\u2096 where \u03c4\u2096 agrees, \u03bb\u2096 = \u03a3|\u03c4\u2096|/\u03a3|M\u2096\u2299\u03c4_uni| (Huang et al. 2024, https://arxiv.org/abs/2405.17461)\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `code@1` | 1 | exact |  |  | Apache-2.0 | `blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f` |\n| skill `polite@1` | 1 | lora |  |  | LicenseRef-llama3 | `blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b` |\n\n- recipe digest: `sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9`\n- output digest: `blake3:245e0af6b2cf3bf21251ffa78477ab9ecd9621d71c03b80fa3e120c347eb9162`\n- head (tensors that the base lacks): from `code@1`\n- task (the skill whose model it is): `code@1`\n- licences of all that went in, together: `Apache-2.0 AND LicenseRef-llama3` (a list of what was stated, not legal advice)\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 2,\n  \"head\": \"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f\",\n  \"method\": \"emr\",\n  \"parameters\": {},\n  \"semantics\": \"paper\",\n  \"task\": \"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f\",\n      \"weight\": 1.0\n    },\n    {\n      \"skill\": \"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b\",\n      \"weight\": 1.0\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T22:41:39.771329+00:00", "finished_at": "2026-11-28T22:41:39.796998+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 22:41:39.806756+00', NULL);
INSERT INTO public.outbox VALUES (5, 'materialization', '6f84fcc6-14e1-403e-8bd9-551e7dfba8b5', '{"store": "d8246b315ee94883a6d1436599ad35b9", "materialization_id": "6f84fcc6-14e1-403e-8bd9-551e7dfba8b5", "recipe_digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "output_digest": "blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb", "expression": "golden/base + 0.6*math@prod + 0.4*polite", "merge": {"name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "dare_linear", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4}], "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "head": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "dtype": null}, "manifest": {"base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "digest": "sha256:60babddf164815a7cc0c341ae5192099de1c86fe3bffcd4ddd246cda77860201", "expression": "golden/base + 0.6*math@prod + 0.4*polite", "files": {"config.json": {"sha256": "sha256:a16c1e4edb8cc9eee3c8e645da14a3614e40e25adab3774f20d1ebe370f34452", "size": 78}, "model.safetensors": {"sha256": "sha256:9eb85fc5ea86f54e643ea8a86225c46cfcb4219bfdebc35446c41124f651d642", "size": 2214}}, "format": 1, "generator": "mergestore 0.1.0", "head": {"name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "source": null}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "math@2", "kind": "skill", "name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "state": "ready", "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "state": "ready", "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "assistant@1", "kind": "merge", "name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "state": "ready", "expression": "golden/base + 0.6*math@prod + 0.4*polite"}], "edges": [{"child": "math@2", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "math@2", "role": "head"}, {"child": "assistant@1", "parent": "math@2", "role": "skill"}, {"child": "assistant@1", "parent": "polite@1", "role": "skill"}]}, "merge": {"name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "source": null}, "output_digest": "blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb", "recipe": {"format": 1, "semantics": "paper", "method": "dare_linear", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4}], "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "head": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "dtype": null}, "recipe_digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "skills": [{"name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "source": null, "weight": 0.6, "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}}, {"name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "source": null, "weight": 0.4, "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:e6ec8c0669b9c161da52cb5a7c02bea9d52d61861e3e22ff11654b9031fddec4", "prefix": "", "dropped_prefix": "", "head": [], "taken_from_base": {}}], "tensors": {"bert.brain.weight": {"digest": "blake3:2fc26d6a302ec0d32faddbef9d3cb10305cb2c8b7a78aab787daf1ae87ae7b39", "dtype": "BF16", "shape": [6, 40]}, "bert.embed_tokens.weight": {"digest": "blake3:31302b68e42d0cb7baae6ec00c0c21f2a2a425bc317f8fe8c3925b3d75680a83", "dtype": "F32", "shape": [12, 8]}, "bert.half.weight": {"digest": "blake3:7757a1119dcfee13997d5d9b39a12fac40cf50f7993c92085d17a171bfa19fa3", "dtype": "F16", "shape": [5, 9]}, "bert.lm_head.weight": {"digest": "blake3:31302b68e42d0cb7baae6ec00c0c21f2a2a425bc317f8fe8c3925b3d75680a83", "dtype": "F32", "shape": [12, 8]}, "bert.mixed.weight": {"digest": "blake3:0d1f3e27d06fc715266ae09cf229e5e4e609f68fbae046188cff823ae93cd123", "dtype": "F32", "shape": [3, 7]}, "bert.norm.weight": {"digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c", "dtype": "F32", "shape": [8]}, "bert.position_ids": {"digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e", "dtype": "I64", "shape": [1, 6]}, "classifier.weight": {"digest": "blake3:0d763ae64d5b398fc35e681cd9b96baec2037d230214133b736ff334c6aaf4a1", "dtype": "F32", "shape": [2, 8]}}}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "math@2", "kind": "skill", "name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "state": "ready", "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "state": "ready", "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "assistant@1", "kind": "merge", "name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "state": "ready", "expression": "golden/base + 0.6*math@prod + 0.4*polite"}], "edges": [{"child": "math@2", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "math@2", "role": "head"}, {"child": "assistant@1", "parent": "math@2", "role": "skill"}, {"child": "assistant@1", "parent": "polite@1", "role": "skill"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6, "encoding": "dare", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "licence": "MIT"}, {"name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4, "encoding": "lora", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": "LicenseRef-llama3"}], "method": "dare_linear", "semantics": "paper", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "dtype": null, "device": "cpu", "engine": "cache", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.007950043000164442, "gb_per_second": 0.0013368481151334864, "bytes": 10628.0, "tensors": 8.0}, "path": "/srv/golden4/assistant", "model_card": "---\nlibrary_name: transformers\ntags:\n- merge\n- mergestore\n- dare_linear\nlicense: other\nlicense_name: Apache-2.0 AND LicenseRef-llama3 AND MIT\n---\n\n# assistant\n\nA merge of 2 skills of `golden/base@1`, made by mergestore:\n\n    golden/base + 0.6*math@prod + 0.4*polite\n\nMethod: `dare_linear`, task arithmetic on deltas dropped at random and rescaled: \u03b8\u2080 + \u03bb \u03a3 w\u2096\u00b7(m\u2096\u2299\u03c4\u2096)/(1\u2212p\u2096), m\u2096 ~ Bernoulli(1\u2212p\u2096) (Yu et al. 2024, https://arxiv.org/abs/2311.03099)\n\nParameters: `drop_rate=0.899993896484375`, `lambda=1`, `seed=0`\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `math@2` | 0.6 | dare | 0.5 | 7 | MIT | `blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a` |\n| skill `polite@1` | 0.4 | lora |  |  | LicenseRef-llama3 | `blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b` |\n\n- recipe digest: `sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461`\n- output digest: `blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb`\n- head (tensors that the base lacks): from `math@2`\n- licences of all that went in, together: `Apache-2.0 AND LicenseRef-llama3 AND MIT` (a list of what was stated, not legal advice)\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 1,\n  \"head\": \"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a\",\n  \"method\": \"dare_linear\",\n  \"parameters\": {\n    \"drop_rate\": 0.899993896484375,\n    \"lambda\": 1,\n    \"seed\": 0\n  },\n  \"semantics\": \"paper\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a\",\n      \"weight\": 0.6\n    },\n    {\n      \"skill\": \"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b\",\n      \"weight\": 0.4\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T22:41:40.011510+00:00", "finished_at": "2026-11-28T22:41:40.032645+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 22:41:40.038359+00', NULL);
INSERT INTO public.outbox VALUES (6, 'materialization', '80be701f-ce23-4faf-901f-68bf9a835166', '{"store": "d8246b315ee94883a6d1436599ad35b9", "materialization_id": "80be701f-ce23-4faf-901f-68bf9a835166", "recipe_digest": "sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5", "output_digest": "blake3:13ced069f1b80cf368489e2f35fbd970c8175bd8cb82726d91aa016ffa4b4a7f", "expression": "golden/base + 0.5*again + 0.5*small", "merge": {"name": "twice", "version": 1, "digest": "sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "dare_linear", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5}, {"skill": "blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1", "weight": 0.5}], "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "head": null, "dtype": null}, "manifest": {"format": 1, "generator": "mergestore 0.1.0", "output_digest": "blake3:13ced069f1b80cf368489e2f35fbd970c8175bd8cb82726d91aa016ffa4b4a7f", "tensors": {"brain.weight": {"dtype": "BF16", "shape": [6, 40], "digest": "blake3:c16768b962e2982bbfd0263be1576db20e1c4f1ccbdacddfcdd697e4f6d61251"}, "embed_tokens.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:a53cc6784c91c8e85a057bde0e880b5abb666726fc8df46cbb146b8852310145"}, "half.weight": {"dtype": "F16", "shape": [5, 9], "digest": "blake3:df148e5444d2824b4d38d8ab1bd4582e80cfecf708d21b95d538ee8aa0c1627e"}, "lm_head.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:a53cc6784c91c8e85a057bde0e880b5abb666726fc8df46cbb146b8852310145"}, "mixed.weight": {"dtype": "F32", "shape": [3, 7], "digest": "blake3:9705df35d3329d0ef6dce8d01d89afa0db5b800afc95120bd0bc61206732dbb7"}, "norm.weight": {"dtype": "F32", "shape": [8], "digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c"}, "position_ids": {"dtype": "I64", "shape": [1, 6], "digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e"}}, "files": {"model.safetensors": {"size": 2046, "sha256": "sha256:3c400357cdcd69e022d42a0871ab9dd1a3caf649abc49eb31fef68c65fcadbd4"}, "config.json": {"size": 94, "sha256": "sha256:72289246a036ba59f7192f9ce216e241941f300dbf18ebf5a5c59fd062c8b929"}}, "expression": "golden/base + 0.5*again + 0.5*small", "merge": {"name": "twice", "version": 1, "digest": "sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "dare_linear", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5}, {"skill": "blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1", "weight": 0.5}], "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "head": null, "dtype": null}, "recipe_digest": "sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5", "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "source": null, "weight": 0.5, "encoding": "sign", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}}, {"name": "again", "version": 1, "digest": "blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1", "licence": "MIT", "source": null, "weight": 0.5, "encoding": "dare", "values": "int4", "drop_rate": 0.899993896484375, "seed": 0, "density": null, "trim": null, "statistics": {"elements": 416, "kept": 42, "unchanged": 272, "minimum": -0.00537109375, "maximum": 0.0047760009765625, "mean": 3.462659347300919e-05, "mean_magnitude": 0.0008142608813404178, "norm": 0.03281880817007568, "share_unchanged": 0.6538461538461539, "share_above_0.005": 0.002403846153846154, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:57e8a4b81085df661900d5b56e419c413c3f84c8e99d98f0f74f970a22f2f4fb", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"]}}], "head": null, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "math@2", "kind": "skill", "name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "state": "ready", "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "small@1", "kind": "skill", "name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "state": "ready", "encoding": "sign", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "state": "ready", "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "assistant@1", "kind": "merge", "name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "state": "ready", "expression": "golden/base + 0.6*math@prod + 0.4*polite", "recipe": {"base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "dtype": null, "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "format": 1, "head": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "method": "dare_linear", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "semantics": "paper", "terms": [{"skill": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4}]}}, {"id": "again@1", "kind": "skill", "name": "again", "version": 1, "digest": "blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1", "licence": "MIT", "state": "ready", "training": {"card": {"library_name": "transformers", "license": "other", "license_name": "Apache-2.0 AND LicenseRef-llama3 AND MIT", "tags": ["merge", "mergestore", "dare_linear"]}}, "encoding": "dare", "values": "int4", "drop_rate": 0.899993896484375, "seed": 0, "density": null, "trim": null, "statistics": {"elements": 416, "kept": 42, "unchanged": 272, "minimum": -0.00537109375, "maximum": 0.0047760009765625, "mean": 3.462659347300919e-05, "mean_magnitude": 0.0008142608813404178, "norm": 0.03281880817007568, "share_unchanged": 0.6538461538461539, "share_above_0.005": 0.002403846153846154, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "twice@1", "kind": "merge", "name": "twice", "version": 1, "digest": "sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5", "licence": null, "state": "ready", "expression": "golden/base + 0.5*again + 0.5*small"}], "edges": [{"child": "math@2", "parent": "golden/base@1", "role": "base"}, {"child": "small@1", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "math@2", "role": "head"}, {"child": "assistant@1", "parent": "math@2", "role": "skill"}, {"child": "assistant@1", "parent": "polite@1", "role": "skill"}, {"child": "again@1", "parent": "golden/base@1", "role": "base"}, {"child": "again@1", "parent": "assistant@1", "role": "merge"}, {"child": "twice@1", "parent": "golden/base@1", "role": "base"}, {"child": "twice@1", "parent": "small@1", "role": "skill"}, {"child": "twice@1", "parent": "again@1", "role": "skill"}]}, "digest": "sha256:325e93bc119341d422821cf04b6a9be12ccb15514cff61d371efd68f97e58009"}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "math@2", "kind": "skill", "name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "state": "ready", "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "small@1", "kind": "skill", "name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "state": "ready", "encoding": "sign", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "state": "ready", "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "assistant@1", "kind": "merge", "name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "state": "ready", "expression": "golden/base + 0.6*math@prod + 0.4*polite", "recipe": {"base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "dtype": null, "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "format": 1, "head": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "method": "dare_linear", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "semantics": "paper", "terms": [{"skill": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4}]}}, {"id": "again@1", "kind": "skill", "name": "again", "version": 1, "digest": "blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1", "licence": "MIT", "state": "ready", "training": {"card": {"library_name": "transformers", "license": "other", "license_name": "Apache-2.0 AND LicenseRef-llama3 AND MIT", "tags": ["merge", "mergestore", "dare_linear"]}}, "encoding": "dare", "values": "int4", "drop_rate": 0.899993896484375, "seed": 0, "density": null, "trim": null, "statistics": {"elements": 416, "kept": 42, "unchanged": 272, "minimum": -0.00537109375, "maximum": 0.0047760009765625, "mean": 3.462659347300919e-05, "mean_magnitude": 0.0008142608813404178, "norm": 0.03281880817007568, "share_unchanged": 0.6538461538461539, "share_above_0.005": 0.002403846153846154, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "twice@1", "kind": "merge", "name": "twice", "version": 1, "digest": "sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5", "licence": null, "state": "ready", "expression": "golden/base + 0.5*again + 0.5*small"}], "edges": [{"child": "math@2", "parent": "golden/base@1", "role": "base"}, {"child": "small@1", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "math@2", "role": "head"}, {"child": "assistant@1", "parent": "math@2", "role": "skill"}, {"child": "assistant@1", "parent": "polite@1", "role": "skill"}, {"child": "again@1", "parent": "golden/base@1", "role": "base"}, {"child": "again@1", "parent": "assistant@1", "role": "merge"}, {"child": "twice@1", "parent": "golden/base@1", "role": "base"}, {"child": "twice@1", "parent": "small@1", "role": "skill"}, {"child": "twice@1", "parent": "again@1", "role": "skill"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5, "encoding": "sign", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": null}, {"name": "again", "version": 1, "digest": "blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1", "weight": 0.5, "encoding": "dare", "drop_rate": 0.899993896484375, "seed": 0, "density": null, "trim": null, "licence": "MIT"}], "method": "dare_linear", "semantics": "paper", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "dtype": null, "device": "cpu", "engine": "numba", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.014139191000140272, "gb_per_second": 0.0008833602997424739, "bytes": 12490.0, "tensors": 7.0, "density": 0.13671875, "delta_norm": 0.0865838358714757}, "path": "/srv/golden4/twice", "model_card": "---\nlibrary_name: transformers\ntags:\n- merge\n- mergestore\n- dare_linear\n---\n\n# twice\n\nA merge of 2 skills of `golden/base@1`, made by mergestore:\n\n    golden/base + 0.5*again + 0.5*small\n\nMethod: `dare_linear`, task arithmetic on deltas dropped at random and rescaled: \u03b8\u2080 + \u03bb \u03a3 w\u2096\u00b7(m\u2096\u2299\u03c4\u2096)/(1\u2212p\u2096), m\u2096 ~ Bernoulli(1\u2212p\u2096) (Yu et al. 2024, https://arxiv.org/abs/2311.03099)\n\nParameters: `drop_rate=0.899993896484375`, `lambda=1`, `seed=0`\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `small@1` | 0.5 | sign |  |  | not stated | `blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af` |\n| skill `again@1` | 0.5 | dare | 0.9 | 0 | MIT | `blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1` |\n\n- recipe digest: `sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5`\n- output digest: `blake3:13ced069f1b80cf368489e2f35fbd970c8175bd8cb82726d91aa016ffa4b4a7f`\n- licence not stated for: small@1\n- licences of all that went in, together: `Apache-2.0 AND LicenseRef-llama3 AND MIT AND NOASSERTION` (a list of what was stated, not legal advice)\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 1,\n  \"head\": null,\n  \"method\": \"dare_linear\",\n  \"parameters\": {\n    \"drop_rate\": 0.899993896484375,\n    \"lambda\": 1,\n    \"seed\": 0\n  },\n  \"semantics\": \"paper\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af\",\n      \"weight\": 0.5\n    },\n    {\n      \"skill\": \"blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1\",\n      \"weight\": 0.5\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T22:41:40.322577+00:00", "finished_at": "2026-11-28T22:41:40.347676+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 22:41:40.350253+00', NULL);
INSERT INTO public.outbox VALUES (7, 'materialization', '06f68eb3-a8f4-434c-a77d-ec5e3c2e1686', '{"store": "d8246b315ee94883a6d1436599ad35b9", "materialization_id": "06f68eb3-a8f4-434c-a77d-ec5e3c2e1686", "recipe_digest": "sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822", "output_digest": "blake3:cb5b1c282685716131c1569167f10226a0e8c8054979069eea061020f029bbd2", "expression": "golden/base + 0.3*nested + 0.7*math@1", "merge": {"name": "stacked", "version": 1, "digest": "sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "dare_linear", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a", "weight": 0.3}, {"skill": "blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5", "weight": 0.7}], "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "head": null, "dtype": null}, "manifest": {"format": 1, "generator": "mergestore 0.1.0", "output_digest": "blake3:cb5b1c282685716131c1569167f10226a0e8c8054979069eea061020f029bbd2", "tensors": {"brain.weight": {"dtype": "BF16", "shape": [6, 40], "digest": "blake3:5bb9d83a5ad878e960b41352e9bf29c3b5e4558c68b1a0fc32cb1e54a014b07d"}, "embed_tokens.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:0827b6bf5b736381f7267bd4108a8ed572824d08d30a51bc710ba510732faf03"}, "half.weight": {"dtype": "F16", "shape": [5, 9], "digest": "blake3:eb98930b5a730fa002128f628de43587e117bee77fdc2cd1d66d54bec4862d10"}, "lm_head.weight": {"dtype": "F32", "shape": [12, 8], "digest": "blake3:0827b6bf5b736381f7267bd4108a8ed572824d08d30a51bc710ba510732faf03"}, "mixed.weight": {"dtype": "F32", "shape": [3, 7], "digest": "blake3:9705df35d3329d0ef6dce8d01d89afa0db5b800afc95120bd0bc61206732dbb7"}, "norm.weight": {"dtype": "F32", "shape": [8], "digest": "blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c"}, "position_ids": {"dtype": "I64", "shape": [1, 6], "digest": "blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e"}}, "files": {"model.safetensors": {"size": 2046, "sha256": "sha256:f4d2a58efe255d54782ab86a4db003545f1d21ba42862575bb3e9e2ce49e00cf"}, "config.json": {"size": 94, "sha256": "sha256:72289246a036ba59f7192f9ce216e241941f300dbf18ebf5a5c59fd062c8b929"}}, "expression": "golden/base + 0.3*nested + 0.7*math@1", "merge": {"name": "stacked", "version": 1, "digest": "sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822", "licence": null, "source": null}, "recipe": {"format": 1, "semantics": "paper", "method": "dare_linear", "base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "terms": [{"skill": "blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a", "weight": 0.3}, {"skill": "blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5", "weight": 0.7}], "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "head": null, "dtype": null}, "recipe_digest": "sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822", "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "nested", "version": 1, "digest": "blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a", "licence": null, "source": null, "weight": 0.3, "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 416, "kept": 381, "unchanged": 361, "minimum": -0.0234375, "maximum": 0.023193359375, "mean": 0.00013644994088770964, "mean_magnitude": 0.001151722758480061, "norm": 0.07415173255268487, "share_unchanged": 0.8677884615384616, "share_above_0.005": 0.12980769230769232, "share_above_0.01": 0.03125, "share_above_0.03": 0.0}, "fine_tuned": "blake3:13ced069f1b80cf368489e2f35fbd970c8175bd8cb82726d91aa016ffa4b4a7f", "prefix": "", "dropped_prefix": "", "head": [], "taken_from_base": {"tied": ["lm_head.weight"]}}, {"name": "math", "version": 1, "digest": "blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5", "licence": "MIT", "source": null, "weight": 0.7, "encoding": "dare", "values": "int4", "drop_rate": 0.899993896484375, "seed": 0, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 39, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}, "fine_tuned": "blake3:43ffff8c76d47bebb6df89305f6f8187120ae79702e5bd875d2f0268ee1ab1c1", "prefix": "bert.", "dropped_prefix": "", "head": ["classifier.weight"], "taken_from_base": {"tied": ["lm_head.weight"], "buffer": ["position_ids"]}}], "head": null, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "math@1", "kind": "skill", "name": "math", "version": 1, "digest": "blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5", "licence": "MIT", "state": "ready", "training": {"meta": {"commit": "0a1b", "dataset": "sums"}}, "encoding": "dare", "values": "int4", "drop_rate": 0.899993896484375, "seed": 0, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 39, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "math@2", "kind": "skill", "name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "state": "ready", "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "small@1", "kind": "skill", "name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "state": "ready", "encoding": "sign", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "state": "ready", "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "assistant@1", "kind": "merge", "name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "state": "ready", "expression": "golden/base + 0.6*math@prod + 0.4*polite", "recipe": {"base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "dtype": null, "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "format": 1, "head": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "method": "dare_linear", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "semantics": "paper", "terms": [{"skill": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4}]}}, {"id": "again@1", "kind": "skill", "name": "again", "version": 1, "digest": "blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1", "licence": "MIT", "state": "ready", "training": {"card": {"library_name": "transformers", "license": "other", "license_name": "Apache-2.0 AND LicenseRef-llama3 AND MIT", "tags": ["merge", "mergestore", "dare_linear"]}}, "encoding": "dare", "values": "int4", "drop_rate": 0.899993896484375, "seed": 0, "density": null, "trim": null, "statistics": {"elements": 416, "kept": 42, "unchanged": 272, "minimum": -0.00537109375, "maximum": 0.0047760009765625, "mean": 3.462659347300919e-05, "mean_magnitude": 0.0008142608813404178, "norm": 0.03281880817007568, "share_unchanged": 0.6538461538461539, "share_above_0.005": 0.002403846153846154, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "twice@1", "kind": "merge", "name": "twice", "version": 1, "digest": "sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5", "licence": null, "state": "ready", "expression": "golden/base + 0.5*again + 0.5*small", "recipe": {"base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "dtype": null, "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "format": 1, "head": null, "method": "dare_linear", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "semantics": "paper", "terms": [{"skill": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5}, {"skill": "blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1", "weight": 0.5}]}}, {"id": "nested@1", "kind": "skill", "name": "nested", "version": 1, "digest": "blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a", "licence": null, "state": "ready", "training": {"card": {"library_name": "transformers", "tags": ["merge", "mergestore", "dare_linear"]}}, "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 416, "kept": 381, "unchanged": 361, "minimum": -0.0234375, "maximum": 0.023193359375, "mean": 0.00013644994088770964, "mean_magnitude": 0.001151722758480061, "norm": 0.07415173255268487, "share_unchanged": 0.8677884615384616, "share_above_0.005": 0.12980769230769232, "share_above_0.01": 0.03125, "share_above_0.03": 0.0}}, {"id": "stacked@1", "kind": "merge", "name": "stacked", "version": 1, "digest": "sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822", "licence": null, "state": "ready", "expression": "golden/base + 0.3*nested + 0.7*math@1"}], "edges": [{"child": "math@1", "parent": "golden/base@1", "role": "base"}, {"child": "math@2", "parent": "golden/base@1", "role": "base"}, {"child": "small@1", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "math@2", "role": "head"}, {"child": "assistant@1", "parent": "math@2", "role": "skill"}, {"child": "assistant@1", "parent": "polite@1", "role": "skill"}, {"child": "again@1", "parent": "golden/base@1", "role": "base"}, {"child": "again@1", "parent": "assistant@1", "role": "merge"}, {"child": "twice@1", "parent": "golden/base@1", "role": "base"}, {"child": "twice@1", "parent": "small@1", "role": "skill"}, {"child": "twice@1", "parent": "again@1", "role": "skill"}, {"child": "nested@1", "parent": "golden/base@1", "role": "base"}, {"child": "nested@1", "parent": "twice@1", "role": "merge"}, {"child": "stacked@1", "parent": "golden/base@1", "role": "base"}, {"child": "stacked@1", "parent": "math@1", "role": "skill"}, {"child": "stacked@1", "parent": "nested@1", "role": "skill"}]}, "digest": "sha256:a6e88649c65d4d83b0a375a68f47b080adc987e2a5ae307edff3921cbb3fb6ae"}, "lineage": {"nodes": [{"id": "golden/base@1", "kind": "base", "name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "state": "ready"}, {"id": "math@1", "kind": "skill", "name": "math", "version": 1, "digest": "blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5", "licence": "MIT", "state": "ready", "training": {"meta": {"commit": "0a1b", "dataset": "sums"}}, "encoding": "dare", "values": "int4", "drop_rate": 0.899993896484375, "seed": 0, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 39, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "math@2", "kind": "skill", "name": "math", "version": 2, "digest": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "licence": "MIT", "state": "ready", "encoding": "dare", "values": "int4", "drop_rate": 0.5, "seed": 7, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 200, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "small@1", "kind": "skill", "name": "small", "version": 1, "digest": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "licence": null, "state": "ready", "encoding": "sign", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 410, "kept": 402, "unchanged": 141, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": 2.4964743600476807e-05, "mean_magnitude": 0.0012357965035068735, "norm": 0.036160672948548946, "share_unchanged": 0.3439024390243902, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "polite@1", "kind": "skill", "name": "polite", "version": 1, "digest": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "licence": "LicenseRef-llama3", "state": "ready", "encoding": "lora", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 512, "kept": 248, "unchanged": 264, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": -4.7738714479272915e-06, "mean_magnitude": 0.00020744334938305187, "norm": 0.0194121558351696, "share_unchanged": 0.515625, "share_above_0.005": 0.009765625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "assistant@1", "kind": "merge", "name": "assistant", "version": 1, "digest": "sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461", "licence": null, "state": "ready", "expression": "golden/base + 0.6*math@prod + 0.4*polite", "recipe": {"base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "dtype": null, "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "format": 1, "head": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "method": "dare_linear", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "semantics": "paper", "terms": [{"skill": "blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a", "weight": 0.6}, {"skill": "blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b", "weight": 0.4}]}}, {"id": "again@1", "kind": "skill", "name": "again", "version": 1, "digest": "blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1", "licence": "MIT", "state": "ready", "training": {"card": {"library_name": "transformers", "license": "other", "license_name": "Apache-2.0 AND LicenseRef-llama3 AND MIT", "tags": ["merge", "mergestore", "dare_linear"]}}, "encoding": "dare", "values": "int4", "drop_rate": 0.899993896484375, "seed": 0, "density": null, "trim": null, "statistics": {"elements": 416, "kept": 42, "unchanged": 272, "minimum": -0.00537109375, "maximum": 0.0047760009765625, "mean": 3.462659347300919e-05, "mean_magnitude": 0.0008142608813404178, "norm": 0.03281880817007568, "share_unchanged": 0.6538461538461539, "share_above_0.005": 0.002403846153846154, "share_above_0.01": 0.0, "share_above_0.03": 0.0}}, {"id": "twice@1", "kind": "merge", "name": "twice", "version": 1, "digest": "sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5", "licence": null, "state": "ready", "expression": "golden/base + 0.5*again + 0.5*small", "recipe": {"base": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "dtype": null, "files": "sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12", "format": 1, "head": null, "method": "dare_linear", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "semantics": "paper", "terms": [{"skill": "blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af", "weight": 0.5}, {"skill": "blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1", "weight": 0.5}]}}, {"id": "nested@1", "kind": "skill", "name": "nested", "version": 1, "digest": "blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a", "licence": null, "state": "ready", "training": {"card": {"library_name": "transformers", "tags": ["merge", "mergestore", "dare_linear"]}}, "encoding": "exact", "values": null, "drop_rate": null, "seed": null, "density": null, "trim": null, "statistics": {"elements": 416, "kept": 381, "unchanged": 361, "minimum": -0.0234375, "maximum": 0.023193359375, "mean": 0.00013644994088770964, "mean_magnitude": 0.001151722758480061, "norm": 0.07415173255268487, "share_unchanged": 0.8677884615384616, "share_above_0.005": 0.12980769230769232, "share_above_0.01": 0.03125, "share_above_0.03": 0.0}}, {"id": "stacked@1", "kind": "merge", "name": "stacked", "version": 1, "digest": "sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822", "licence": null, "state": "ready", "expression": "golden/base + 0.3*nested + 0.7*math@1"}], "edges": [{"child": "math@1", "parent": "golden/base@1", "role": "base"}, {"child": "math@2", "parent": "golden/base@1", "role": "base"}, {"child": "small@1", "parent": "golden/base@1", "role": "base"}, {"child": "polite@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "golden/base@1", "role": "base"}, {"child": "assistant@1", "parent": "math@2", "role": "head"}, {"child": "assistant@1", "parent": "math@2", "role": "skill"}, {"child": "assistant@1", "parent": "polite@1", "role": "skill"}, {"child": "again@1", "parent": "golden/base@1", "role": "base"}, {"child": "again@1", "parent": "assistant@1", "role": "merge"}, {"child": "twice@1", "parent": "golden/base@1", "role": "base"}, {"child": "twice@1", "parent": "small@1", "role": "skill"}, {"child": "twice@1", "parent": "again@1", "role": "skill"}, {"child": "nested@1", "parent": "golden/base@1", "role": "base"}, {"child": "nested@1", "parent": "twice@1", "role": "merge"}, {"child": "stacked@1", "parent": "golden/base@1", "role": "base"}, {"child": "stacked@1", "parent": "math@1", "role": "skill"}, {"child": "stacked@1", "parent": "nested@1", "role": "skill"}]}, "base": {"name": "golden/base", "version": 1, "digest": "blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116", "licence": "Apache-2.0", "source": null}, "skills": [{"name": "nested", "version": 1, "digest": "blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a", "weight": 0.3, "encoding": "exact", "drop_rate": null, "seed": null, "density": null, "trim": null, "licence": null}, {"name": "math", "version": 1, "digest": "blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5", "weight": 0.7, "encoding": "dare", "drop_rate": 0.899993896484375, "seed": 0, "density": null, "trim": null, "licence": "MIT"}], "method": "dare_linear", "semantics": "paper", "parameters": {"drop_rate": 0.899993896484375, "lambda": 1, "seed": 0}, "dtype": null, "device": "cpu", "engine": "numba", "versions": {"python": "3.11.7", "mergestore": "0.1.0", "numpy": "2.4.6", "numba": "0.68.1", "zstandard": "0.25.0", "torch": "2.13.0+cpu"}, "metrics": {"seconds": 0.019059894999372773, "gb_per_second": 0.0007824282348087836, "bytes": 14913.0, "tensors": 7.0, "density": 0.0703125, "delta_norm": 0.09655088232885359}, "path": "/srv/golden4/mergestore/cache/d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822", "model_card": "---\nlibrary_name: transformers\ndatasets:\n- sums\ntags:\n- merge\n- mergestore\n- dare_linear\n---\n\n# stacked\n\nA merge of 2 skills of `golden/base@1`, made by mergestore:\n\n    golden/base + 0.3*nested + 0.7*math@1\n\nMethod: `dare_linear`, task arithmetic on deltas dropped at random and rescaled: \u03b8\u2080 + \u03bb \u03a3 w\u2096\u00b7(m\u2096\u2299\u03c4\u2096)/(1\u2212p\u2096), m\u2096 ~ Bernoulli(1\u2212p\u2096) (Yu et al. 2024, https://arxiv.org/abs/2311.03099)\n\nParameters: `drop_rate=0.899993896484375`, `lambda=1`, `seed=0`\n\n| input | weight | encoding | drop rate | seed | licence | digest |\n|---|---|---|---|---|---|---|\n| base `golden/base@1` | | | | | Apache-2.0 | `blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116` |\n| skill `nested@1` | 0.3 | exact |  |  | not stated | `blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a` |\n| skill `math@1` | 0.7 | dare | 0.9 | 0 | MIT | `blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5` |\n\n- recipe digest: `sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822`\n- output digest: `blake3:cb5b1c282685716131c1569167f10226a0e8c8054979069eea061020f029bbd2`\n- licence not stated for: small@1, nested@1\n- licences of all that went in, together: `Apache-2.0 AND LicenseRef-llama3 AND MIT AND NOASSERTION` (a list of what was stated, not legal advice)\n\nThe whole recipe:\n\n```json\n{\n  \"base\": \"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116\",\n  \"dtype\": null,\n  \"files\": \"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12\",\n  \"format\": 1,\n  \"head\": null,\n  \"method\": \"dare_linear\",\n  \"parameters\": {\n    \"drop_rate\": 0.899993896484375,\n    \"lambda\": 1,\n    \"seed\": 0\n  },\n  \"semantics\": \"paper\",\n  \"terms\": [\n    {\n      \"skill\": \"blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a\",\n      \"weight\": 0.3\n    },\n    {\n      \"skill\": \"blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5\",\n      \"weight\": 0.7\n    }\n  ]\n}\n```\n", "started_at": "2026-11-28T22:41:40.575029+00:00", "finished_at": "2026-11-28T22:41:40.605301+00:00", "actor": "ann@lab"}', 0, NULL, '2026-11-28 22:41:40.607446+00', NULL);


--
-- Data for Name: pin; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.pin VALUES (8, 'shipped', '2026-11-28 22:41:40.625981+00', 'ann@lab');


--
-- Data for Name: recipe; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.recipe VALUES ('sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a","method":"dare_linear","parameters":{"drop_rate":0.899993896484375,"lambda":1,"seed":0},"semantics":"paper","terms":[{"skill":"blake3:5478f91787a9d4521a192fc915c7efd51473f4cab33430e9c485693c71d9d98a","weight":0.6},{"skill":"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b","weight":0.4}]}', 'dare_linear', '2026-11-28 22:41:38.800991+00');
INSERT INTO public.recipe VALUES ('sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":null,"method":"ties","parameters":{"density":0.2,"divisor":"count","lambda":1,"trim":"model"},"semantics":"paper","terms":[{"skill":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","weight":0.5},{"skill":"blake3:a2b6cfd844a9fe5fa3861e47aaa92fa112fe80ac5c2d1956e7c9d74e25011c84","weight":-0.25}]}', 'ties', '2026-11-28 22:41:38.844784+00');
INSERT INTO public.recipe VALUES ('sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":null,"method":"emr","parameters":{},"semantics":"paper","terms":[{"skill":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","weight":1},{"skill":"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b","weight":1}]}', 'emr', '2026-11-28 22:41:39.233351+00');
INSERT INTO public.recipe VALUES ('sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":null,"method":"fisher","parameters":{"floor":0.000001,"scale":"none"},"semantics":"paper","terms":[{"skill":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","weight":1}]}', 'fisher', '2026-11-28 22:41:39.276533+00');
INSERT INTO public.recipe VALUES ('sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af","method":"task_arithmetic","parameters":{"lambda":1},"semantics":"paper","terms":[{"skill":"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af","weight":0.5}]}', 'task_arithmetic', '2026-11-28 22:41:39.693317+00');
INSERT INTO public.recipe VALUES ('sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":2,"head":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","method":"emr","parameters":{},"semantics":"paper","task":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","terms":[{"skill":"blake3:44d04f07b4fbf2afa2f7fd0592f557b9f2529aaa3922d5effd68e20659d7492f","weight":1},{"skill":"blake3:9b1d646a4eecc130648241dd15e16a0b8524e3e33030c176edc4930e8788046b","weight":1}]}', 'emr', '2026-11-28 22:41:39.79818+00');
INSERT INTO public.recipe VALUES ('sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":null,"method":"dare_linear","parameters":{"drop_rate":0.899993896484375,"lambda":1,"seed":0},"semantics":"paper","terms":[{"skill":"blake3:25298b0e96a917624be217244e92eea365884824ee57b7421d3898e4e61e02af","weight":0.5},{"skill":"blake3:9f45887566cd399711562ac40955ee80a1f6051864a0a8631817b534f67acfa1","weight":0.5}]}', 'dare_linear', '2026-11-28 22:41:40.254978+00');
INSERT INTO public.recipe VALUES ('sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822', '{"base":"blake3:0c4cfa9e4154921f0296c2dcaf88c3d048f4ba259ffe508ba75933c31692a116","dtype":null,"files":"sha256:833b0d0eb4fc8b56a9f8c657eed698e89709caf6d3fc0ef1da22b3d1fb4cfb12","format":1,"head":null,"method":"dare_linear","parameters":{"drop_rate":0.899993896484375,"lambda":1,"seed":0},"semantics":"paper","terms":[{"skill":"blake3:1138f754411f2c8ef4600501ebdac0cc8a0cf27bfa6011a321d55d2ccc4c068a","weight":0.3},{"skill":"blake3:30c5f2ff48b7a4770981c4fcbaab0bc54a3bbbbbdb2a1974f4a84c1138f630e5","weight":0.7}]}', 'dare_linear', '2026-11-28 22:41:40.503824+00');


--
-- Data for Name: recipe_input; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.recipe_input VALUES ('sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 1, 3, 0.6, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 2, 7, 0.4, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:c36fec6d46d06be85f9d09c30b539471f7675c8117f929eb96e3a28085dc0461', 3, 3, NULL, 'head');
INSERT INTO public.recipe_input VALUES ('sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', 1, 4, 0.5, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:2a8963dc4956aa010313bbb0ca212c5a2329f11794639a363445cbab7d3c944c', 2, 5, -0.25, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', 1, 4, 1, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:9d737c9080fb1ab8f55107490a104c6be49fc06acbb13433e04e52f1050c909f', 2, 7, 1, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:65ba92bddc4985671e043c3471d6e48930fbddb81f15c3bc0324302f0659b124', 1, 4, 1, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', 1, 6, 0.5, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:35e61494929282b494e0c0281f91320615c8611aca50238912f1d00c2619a87d', 2, 6, NULL, 'head');
INSERT INTO public.recipe_input VALUES ('sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', 1, 4, 1, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', 2, 7, 1, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:5fe8e37232aa9c933407bfc9ce36abd1a906c69708c70fd76010cc5c02cba1d9', 3, 4, NULL, 'head');
INSERT INTO public.recipe_input VALUES ('sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5', 1, 6, 0.5, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:98ccf69ae70278f2ec706a7489284eaae8a89a935410977ff0bcefea4bb381d5', 2, 12, 0.5, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822', 0, 1, NULL, 'base');
INSERT INTO public.recipe_input VALUES ('sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822', 1, 14, 0.3, 'skill');
INSERT INTO public.recipe_input VALUES ('sha256:d4f348adfb42ba698df99429df8a1145d9f6073b9da6f0873836b4538e20d822', 2, 2, 0.7, 'skill');


--
-- Data for Name: statistics; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.statistics VALUES (1, 4, 'fisher', 'blake3:8bbbc0206c0a3585e7ac3032361a0da36b5993b1ca257993dc88a8f415d26d20', 'blake3:d28a2c29c0ab4191682b524179f2b27b9f2e04bf4a17da4b095b983c4534138c', 'blake3:bc07219f99091a240aa6b62335735b36657afd6462e86df24de90d24a97f6e57', 'sha256:fb484bfff0423cc3fdeaa7494795d0716066a8d06b586cd470bca837659e04da', 4, '{"forward": "__main__.forward", "labels": "sampled", "seed": 0}', '2026-11-28 22:41:38.706273+00', 'ann@lab');


--
-- Data for Name: store_meta; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.store_meta VALUES ('store_id', 'd8246b315ee94883a6d1436599ad35b9');
INSERT INTO public.store_meta VALUES ('written_by', 'mergestore 0.1.0');
INSERT INTO public.store_meta VALUES ('audit_head', '{"hash":"sha256:8939fc1f7f97bc8a46610c531627a30fdc4adb5d9f2621a15bd3383c093ffd9d","sequence":97}');


--
-- Data for Name: tensor; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.tensor VALUES (1, 'brain.weight', 'BF16', '[6, 40]', 'blake3:b7e5345f7ecf75c2213b8cb9c9ee2ed929b6e1c2f8c995d1cb640239ad9678c0', 'model.safetensors', 987, 480, NULL);
INSERT INTO public.tensor VALUES (1, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:b31125b550f2f139743f554b8b485b641b727a68eec28974928e0166be0dc5ef', 'model.safetensors', 513, 384, NULL);
INSERT INTO public.tensor VALUES (1, 'half.weight', 'F16', '[5, 9]', 'blake3:b6f762732c27ded2e5f5ecfe81fffff6deb2ad7f6aa0e04c839a7daf6c5c3ac6', 'model.safetensors', 897, 90, NULL);
INSERT INTO public.tensor VALUES (1, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:b31125b550f2f139743f554b8b485b641b727a68eec28974928e0166be0dc5ef', 'model.safetensors', 1551, 384, NULL);
INSERT INTO public.tensor VALUES (1, 'mixed.weight', 'F32', '[3, 7]', 'blake3:9705df35d3329d0ef6dce8d01d89afa0db5b800afc95120bd0bc61206732dbb7', 'model.safetensors', 1467, 84, NULL);
INSERT INTO public.tensor VALUES (1, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', 'model.safetensors', 1935, 32, NULL);
INSERT INTO public.tensor VALUES (1, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', 'model.safetensors', 1967, 48, NULL);
INSERT INTO public.tensor VALUES (2, 'brain.weight', 'BF16', '[6, 40]', 'blake3:3853586b293c239598bd4566a747057f74aad9ad52deef04bee67ca47ca24a61', NULL, NULL, 0, '{"elements": 240, "kept": 21, "unchanged": 86, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": -4.5180320739746094e-05, "mean_magnitude": 0.0012493530909220378, "norm": 0.02765749600881953, "share_unchanged": 0.35833333333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (2, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, '{"elements": 96, "kept": 9, "unchanged": 32, "minimum": -0.0039517637342214584, "maximum": 0.003954567015171051, "mean": 0.00018160463393238993, "mean_magnitude": 0.0013667383767218173, "norm": 0.018878811064338377, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (2, 'half.weight', 'F16', '[5, 9]', 'blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91', NULL, NULL, 0, '{"elements": 45, "kept": 9, "unchanged": 15, "minimum": -0.00396728515625, "maximum": 0.00380706787109375, "mean": -0.00013173421223958333, "mean_magnitude": 0.0011137220594618056, "norm": 0.011039401710432101, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (2, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (2, 'mixed.weight', 'BF16', '[3, 7]', 'blake3:b409f852fe6aa3db1f4101959285a111ef2982fa807060c82bfa2dbdd296ef1d', NULL, NULL, 0, '{"elements": 21, "kept": 0, "unchanged": 0, "minimum": -0.0036696195602416992, "maximum": 0.003652802901342511, "mean": 0.00045584840700030327, "mean_magnitude": 0.0012146403702596824, "norm": 0.008023670312692006, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (2, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (2, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (3, 'brain.weight', 'BF16', '[6, 40]', 'blake3:3853586b293c239598bd4566a747057f74aad9ad52deef04bee67ca47ca24a61', NULL, NULL, 0, '{"elements": 240, "kept": 114, "unchanged": 86, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": -4.5180320739746094e-05, "mean_magnitude": 0.0012493530909220378, "norm": 0.02765749600881953, "share_unchanged": 0.35833333333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (3, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, '{"elements": 96, "kept": 52, "unchanged": 32, "minimum": -0.0039517637342214584, "maximum": 0.003954567015171051, "mean": 0.00018160463393238993, "mean_magnitude": 0.0013667383767218173, "norm": 0.018878811064338377, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (3, 'half.weight', 'F16', '[5, 9]', 'blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91', NULL, NULL, 0, '{"elements": 45, "kept": 24, "unchanged": 15, "minimum": -0.00396728515625, "maximum": 0.00380706787109375, "mean": -0.00013173421223958333, "mean_magnitude": 0.0011137220594618056, "norm": 0.011039401710432101, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (3, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (3, 'mixed.weight', 'BF16', '[3, 7]', 'blake3:b409f852fe6aa3db1f4101959285a111ef2982fa807060c82bfa2dbdd296ef1d', NULL, NULL, 0, '{"elements": 21, "kept": 10, "unchanged": 0, "minimum": -0.0036696195602416992, "maximum": 0.003652802901342511, "mean": 0.00045584840700030327, "mean_magnitude": 0.0012146403702596824, "norm": 0.008023670312692006, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (3, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (3, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (4, 'brain.weight', 'BF16', '[6, 40]', 'blake3:3853586b293c239598bd4566a747057f74aad9ad52deef04bee67ca47ca24a61', NULL, NULL, 0, '{"elements": 240, "kept": 240, "unchanged": 86, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": -4.5180320739746094e-05, "mean_magnitude": 0.0012493530909220378, "norm": 0.02765749600881953, "share_unchanged": 0.35833333333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (4, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, '{"elements": 96, "kept": 96, "unchanged": 32, "minimum": -0.0039517637342214584, "maximum": 0.003954567015171051, "mean": 0.00018160463393238993, "mean_magnitude": 0.0013667383767218173, "norm": 0.018878811064338377, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (4, 'half.weight', 'F16', '[5, 9]', 'blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91', NULL, NULL, 0, '{"elements": 45, "kept": 45, "unchanged": 15, "minimum": -0.00396728515625, "maximum": 0.00380706787109375, "mean": -0.00013173421223958333, "mean_magnitude": 0.0011137220594618056, "norm": 0.011039401710432101, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (4, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (4, 'mixed.weight', 'BF16', '[3, 7]', 'blake3:b409f852fe6aa3db1f4101959285a111ef2982fa807060c82bfa2dbdd296ef1d', NULL, NULL, 0, '{"elements": 21, "kept": 21, "unchanged": 0, "minimum": -0.0036696195602416992, "maximum": 0.003652802901342511, "mean": 0.00045584840700030327, "mean_magnitude": 0.0012146403702596824, "norm": 0.008023670312692006, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (4, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (4, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (5, 'brain.weight', 'BF16', '[6, 40]', 'blake3:3853586b293c239598bd4566a747057f74aad9ad52deef04bee67ca47ca24a61', NULL, NULL, 0, '{"elements": 240, "kept": 25, "unchanged": 86, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": -4.5180320739746094e-05, "mean_magnitude": 0.0012493530909220378, "norm": 0.02765749600881953, "share_unchanged": 0.35833333333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (5, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, '{"elements": 96, "kept": 13, "unchanged": 32, "minimum": -0.0039517637342214584, "maximum": 0.003954567015171051, "mean": 0.00018160463393238993, "mean_magnitude": 0.0013667383767218173, "norm": 0.018878811064338377, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (5, 'half.weight', 'F16', '[5, 9]', 'blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91', NULL, NULL, 0, '{"elements": 45, "kept": 3, "unchanged": 15, "minimum": -0.00396728515625, "maximum": 0.00380706787109375, "mean": -0.00013173421223958333, "mean_magnitude": 0.0011137220594618056, "norm": 0.011039401710432101, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (5, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (5, 'mixed.weight', 'BF16', '[3, 7]', 'blake3:b409f852fe6aa3db1f4101959285a111ef2982fa807060c82bfa2dbdd296ef1d', NULL, NULL, 0, '{"elements": 21, "kept": 2, "unchanged": 0, "minimum": -0.0036696195602416992, "maximum": 0.003652802901342511, "mean": 0.00045584840700030327, "mean_magnitude": 0.0012146403702596824, "norm": 0.008023670312692006, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (5, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (5, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (6, 'brain.weight', 'BF16', '[6, 40]', 'blake3:3853586b293c239598bd4566a747057f74aad9ad52deef04bee67ca47ca24a61', NULL, NULL, 0, '{"elements": 240, "kept": 240, "unchanged": 86, "minimum": -0.00439453125, "maximum": 0.0040283203125, "mean": -4.5180320739746094e-05, "mean_magnitude": 0.0012493530909220378, "norm": 0.02765749600881953, "share_unchanged": 0.35833333333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (6, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, '{"elements": 96, "kept": 96, "unchanged": 32, "minimum": -0.0039517637342214584, "maximum": 0.003954567015171051, "mean": 0.00018160463393238993, "mean_magnitude": 0.0013667383767218173, "norm": 0.018878811064338377, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (6, 'half.weight', 'F16', '[5, 9]', 'blake3:7ca0a9292e2b8d44ae177e4643bef8d280ffe15e30ced7513e4218b5b17d4c91', NULL, NULL, 0, '{"elements": 45, "kept": 45, "unchanged": 15, "minimum": -0.00396728515625, "maximum": 0.00380706787109375, "mean": -0.00013173421223958333, "mean_magnitude": 0.0011137220594618056, "norm": 0.011039401710432101, "share_unchanged": 0.3333333333333333, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (6, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:121ffbac9a3bdaea1c8c6b559d650b568a0ed8e3038e397dcaefb7223160d130', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (6, 'mixed.weight', 'BF16', '[3, 7]', 'blake3:b409f852fe6aa3db1f4101959285a111ef2982fa807060c82bfa2dbdd296ef1d', NULL, NULL, 0, '{"elements": 21, "kept": 21, "unchanged": 0, "minimum": -0.0036696195602416992, "maximum": 0.003652802901342511, "mean": 0.00045584840700030327, "mean_magnitude": 0.0012146403702596824, "norm": 0.008023670312692006, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (6, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (6, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (7, 'brain.weight', 'F32', '[6, 40]', 'blake3:62c6f81290ff803d24e71489b4621138a76a5f4e8ef54ed822cfea7fa97700de', NULL, NULL, 0, '{"elements": 240, "kept": 240, "unchanged": 0, "minimum": -0.000883850734680891, "maximum": 0.0008395931217819452, "mean": -1.373992450245017e-05, "mean_magnitude": 0.0002323284255330312, "norm": 0.004541055153293887, "share_unchanged": 0.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:b31125b550f2f139743f554b8b485b641b727a68eec28974928e0166be0dc5ef', NULL, NULL, 0, '{"elements": 96, "kept": 0, "unchanged": 96, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'half.weight', 'F16', '[5, 9]', 'blake3:b6f762732c27ded2e5f5ecfe81fffff6deb2ad7f6aa0e04c839a7daf6c5c3ac6', NULL, NULL, 0, '{"elements": 45, "kept": 0, "unchanged": 45, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:b31125b550f2f139743f554b8b485b641b727a68eec28974928e0166be0dc5ef', NULL, NULL, 0, '{"elements": 96, "kept": 0, "unchanged": 96, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'mixed.weight', 'F32', '[3, 7]', 'blake3:9705df35d3329d0ef6dce8d01d89afa0db5b800afc95120bd0bc61206732dbb7', NULL, NULL, 0, '{"elements": 21, "kept": 0, "unchanged": 21, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'norm.weight', 'F32', '[8]', 'blake3:b07fa5cea78171b8ba118979d5ddcef085c553460b4a805c50ef99b6219db4af', NULL, NULL, 0, '{"elements": 8, "kept": 8, "unchanged": 0, "minimum": -0.00861424207687378, "maximum": 0.007345318794250488, "mean": 0.00010666996240615845, "mean_magnitude": 0.0063065215945243835, "norm": 0.018873542652709695, "share_unchanged": 0.0, "share_above_0.005": 0.625, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (7, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, '{"elements": 6, "kept": 0, "unchanged": 6, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (12, 'brain.weight', 'BF16', '[6, 40]', 'blake3:2fc26d6a302ec0d32faddbef9d3cb10305cb2c8b7a78aab787daf1ae87ae7b39', NULL, NULL, 0, '{"elements": 240, "kept": 27, "unchanged": 152, "minimum": -0.00537109375, "maximum": 0.004638671875, "mean": -0.00010866324106852213, "mean_magnitude": 0.0008194049199422201, "norm": 0.024593006310279497, "share_unchanged": 0.6333333333333333, "share_above_0.005": 0.004166666666666667, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (12, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:31302b68e42d0cb7baae6ec00c0c21f2a2a425bc317f8fe8c3925b3d75680a83', NULL, NULL, 0, '{"elements": 96, "kept": 11, "unchanged": 59, "minimum": -0.004774473607540131, "maximum": 0.004774473607540131, "mean": 0.00029840454226359725, "mean_magnitude": 0.0010373116044017177, "norm": 0.018377900318397453, "share_unchanged": 0.6145833333333334, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (12, 'half.weight', 'F16', '[5, 9]', 'blake3:7757a1119dcfee13997d5d9b39a12fac40cf50f7993c92085d17a171bfa19fa3', NULL, NULL, 0, '{"elements": 45, "kept": 4, "unchanged": 32, "minimum": -0.0047607421875, "maximum": 0.0047760009765625, "mean": 0.00012266370985243057, "mean_magnitude": 0.0006073845757378472, "norm": 0.00900203654002713, "share_unchanged": 0.7111111111111111, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (12, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:31302b68e42d0cb7baae6ec00c0c21f2a2a425bc317f8fe8c3925b3d75680a83', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (12, 'mixed.weight', 'F32', '[3, 7]', 'blake3:0d1f3e27d06fc715266ae09cf229e5e4e609f68fbae046188cff823ae93cd123', NULL, NULL, 0, '{"elements": 21, "kept": 0, "unchanged": 15, "minimum": -0.004421994090080261, "maximum": 0.004421996884047985, "mean": 0.00030081608288344883, "mean_magnitude": 0.000721958377176807, "norm": 0.007312614330445865, "share_unchanged": 0.7142857142857143, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (12, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (12, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, '{"elements": 6, "kept": 0, "unchanged": 6, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (14, 'brain.weight', 'BF16', '[6, 40]', 'blake3:c16768b962e2982bbfd0263be1576db20e1c4f1ccbdacddfcdd697e4f6d61251', NULL, NULL, 0, '{"elements": 240, "kept": 240, "unchanged": 210, "minimum": -0.0234375, "maximum": 0.023193359375, "mean": 7.877349853515624e-05, "mean_magnitude": 0.0010778427124023438, "norm": 0.05454156554311148, "share_unchanged": 0.875, "share_above_0.005": 0.12083333333333333, "share_above_0.01": 0.029166666666666667, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (14, 'embed_tokens.weight', 'F32', '[12, 8]', 'blake3:a53cc6784c91c8e85a057bde0e880b5abb666726fc8df46cbb146b8852310145', NULL, NULL, 0, '{"elements": 96, "kept": 96, "unchanged": 81, "minimum": -0.02055996283888817, "maximum": 0.020559966564178467, "mean": -8.185204448333631e-05, "mean_magnitude": 0.001588565496300968, "norm": 0.044702138580315555, "share_unchanged": 0.84375, "share_above_0.005": 0.15625, "share_above_0.01": 0.041666666666666664, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (14, 'half.weight', 'F16', '[5, 9]', 'blake3:df148e5444d2824b4d38d8ab1bd4582e80cfecf708d21b95d538ee8aa0c1627e', NULL, NULL, 0, '{"elements": 45, "kept": 45, "unchanged": 35, "minimum": -0.00555419921875, "maximum": 0.01300048828125, "mean": 0.0010158962673611112, "mean_magnitude": 0.0015096028645833334, "norm": 0.022921951815184565, "share_unchanged": 0.7777777777777778, "share_above_0.005": 0.2222222222222222, "share_above_0.01": 0.044444444444444446, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (14, 'lm_head.weight', 'F32', '[12, 8]', 'blake3:a53cc6784c91c8e85a057bde0e880b5abb666726fc8df46cbb146b8852310145', NULL, NULL, 0, NULL);
INSERT INTO public.tensor VALUES (14, 'mixed.weight', 'F32', '[3, 7]', 'blake3:9705df35d3329d0ef6dce8d01d89afa0db5b800afc95120bd0bc61206732dbb7', NULL, NULL, 0, '{"elements": 21, "kept": 0, "unchanged": 21, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (14, 'norm.weight', 'F32', '[8]', 'blake3:687a6d209fe8cc7129f74eb659624ef003504a64bb3a8e2eb9ceacb37f4bde0c', NULL, NULL, 0, '{"elements": 8, "kept": 0, "unchanged": 8, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');
INSERT INTO public.tensor VALUES (14, 'position_ids', 'I64', '[1, 6]', 'blake3:52a4cb084facbef1394d3d4d06604c896db2f0dbd3fea9de23679c1f82d6017e', NULL, NULL, 0, '{"elements": 6, "kept": 0, "unchanged": 6, "minimum": 0.0, "maximum": 0.0, "mean": 0.0, "mean_magnitude": 0.0, "norm": 0.0, "share_unchanged": 1.0, "share_above_0.005": 0.0, "share_above_0.01": 0.0, "share_above_0.03": 0.0}');


--
-- Data for Name: version_file; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.version_file VALUES (1, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (1, 'model.safetensors', 'weights', 2015, 'blake3:e00558eca1699131e33e0c521cb747ab75910e12681c024f81445d78461012c4', NULL, NULL);
INSERT INTO public.version_file VALUES (2, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (2, 'delta.safetensors', 'delta', 5891, 'blake3:a71584a6bd0fd39a6e1f9960faf43a68f8c586c8b3e9d74960f77c2052cd6426', NULL, NULL);
INSERT INTO public.version_file VALUES (3, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (3, 'delta.safetensors', 'delta', 6004, 'blake3:b699fe690a69f0d71354b569dd19fdf6cf9c362dba2c55f9aa17f224e2e08bf0', NULL, NULL);
INSERT INTO public.version_file VALUES (4, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (4, 'delta.safetensors', 'delta', 6481, 'blake3:bb61f22a4c2bcf48d9987b055a37941b313e511aae75a18b6ac66eb087b4840e', NULL, NULL);
INSERT INTO public.version_file VALUES (5, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (5, 'delta.safetensors', 'delta', 6006, 'blake3:fca93e12c21648c127f6c2004c4cbd532f3ba3b423942d0365b565513bc19799', NULL, NULL);
INSERT INTO public.version_file VALUES (6, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (6, 'delta.safetensors', 'delta', 5955, 'blake3:f36dcb2c56b37c3436d79b0208b796728684b7c33655558feaf6f991a46c5617', NULL, NULL);
INSERT INTO public.version_file VALUES (7, 'delta.safetensors', 'delta', 5654, 'blake3:db0f242d7700cca0059b0fb121bc024d16ff1c35eef867087f4b6eb6e1af6d38', NULL, NULL);
INSERT INTO public.version_file VALUES (10, 'unified.safetensors', 'delta', 7377, 'blake3:b0f808761aa79cc54f11648e9bbf1b17c3f8f83cd04d7e4fee5a82fdbe78166e', NULL, NULL);
INSERT INTO public.version_file VALUES (12, 'config.json', 'companion', 78, 'blake3:3bae35e3e24e43360bd22540a3666d4c67a1374bb5b65a956cd52c35d6a1cdc7', NULL, NULL);
INSERT INTO public.version_file VALUES (12, 'delta.safetensors', 'delta', 6148, 'blake3:c86e6d3dd5168965a80feb6a01463368377c73bdb5dc22c042e99832b3b74d70', NULL, NULL);
INSERT INTO public.version_file VALUES (14, 'config.json', 'companion', 94, 'blake3:ad34a3f46156982dea681a70cace48689b0b1cbda5c14a508c6200eaac03ffc3', NULL, NULL);
INSERT INTO public.version_file VALUES (14, 'delta.safetensors', 'delta', 5867, 'blake3:8674836b23c72b8f1727176b907abe04f1cfc9051135f3506fde95e99e6d47d7', NULL, NULL);


--
-- Name: alias_event_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.alias_event_id_seq', 5, true);


--
-- Name: attestation_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.attestation_id_seq', 1, false);


--
-- Name: evaluation_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.evaluation_id_seq', 1, true);


--
-- Name: model_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.model_id_seq', 13, true);


--
-- Name: model_version_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.model_version_id_seq', 15, true);


--
-- Name: outbox_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.outbox_id_seq', 7, true);


--
-- Name: statistics_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.statistics_id_seq', 1, true);


--
-- Name: mergestore_version mergestore_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.mergestore_version
    ADD CONSTRAINT mergestore_version_pkc PRIMARY KEY (version_num);


--
-- Name: alias pk_alias; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias
    ADD CONSTRAINT pk_alias PRIMARY KEY (model_id, alias);


--
-- Name: alias_event pk_alias_event; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias_event
    ADD CONSTRAINT pk_alias_event PRIMARY KEY (id);


--
-- Name: attestation pk_attestation; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT pk_attestation PRIMARY KEY (id);


--
-- Name: audit_event pk_audit_event; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_event
    ADD CONSTRAINT pk_audit_event PRIMARY KEY (sequence);


--
-- Name: blob pk_blob; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.blob
    ADD CONSTRAINT pk_blob PRIMARY KEY (digest);


--
-- Name: delta pk_delta; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.delta
    ADD CONSTRAINT pk_delta PRIMARY KEY (version_id);


--
-- Name: evaluation pk_evaluation; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluation
    ADD CONSTRAINT pk_evaluation PRIMARY KEY (id);


--
-- Name: garbage pk_garbage; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.garbage
    ADD CONSTRAINT pk_garbage PRIMARY KEY (digest);


--
-- Name: lease pk_lease; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lease
    ADD CONSTRAINT pk_lease PRIMARY KEY (name);


--
-- Name: lineage_edge pk_lineage_edge; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lineage_edge
    ADD CONSTRAINT pk_lineage_edge PRIMARY KEY (child_version_id, parent_version_id, role);


--
-- Name: materialization pk_materialization; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.materialization
    ADD CONSTRAINT pk_materialization PRIMARY KEY (id);


--
-- Name: model pk_model; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model
    ADD CONSTRAINT pk_model PRIMARY KEY (id);


--
-- Name: model_version pk_model_version; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model_version
    ADD CONSTRAINT pk_model_version PRIMARY KEY (id);


--
-- Name: outbox pk_outbox; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT pk_outbox PRIMARY KEY (id);


--
-- Name: pin pk_pin; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pin
    ADD CONSTRAINT pk_pin PRIMARY KEY (version_id);


--
-- Name: recipe pk_recipe; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recipe
    ADD CONSTRAINT pk_recipe PRIMARY KEY (digest);


--
-- Name: recipe_input pk_recipe_input; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recipe_input
    ADD CONSTRAINT pk_recipe_input PRIMARY KEY (recipe_digest, "position");


--
-- Name: statistics pk_statistics; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.statistics
    ADD CONSTRAINT pk_statistics PRIMARY KEY (id);


--
-- Name: store_meta pk_store_meta; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.store_meta
    ADD CONSTRAINT pk_store_meta PRIMARY KEY (key);


--
-- Name: tensor pk_tensor; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tensor
    ADD CONSTRAINT pk_tensor PRIMARY KEY (version_id, name);


--
-- Name: version_file pk_version_file; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.version_file
    ADD CONSTRAINT pk_version_file PRIMARY KEY (version_id, path);


--
-- Name: audit_event uq_audit_event_hash; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit_event
    ADD CONSTRAINT uq_audit_event_hash UNIQUE (hash);


--
-- Name: model uq_model_name; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model
    ADD CONSTRAINT uq_model_name UNIQUE (name);


--
-- Name: model_version uq_model_version_model_id_id; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model_version
    ADD CONSTRAINT uq_model_version_model_id_id UNIQUE (model_id, id);


--
-- Name: model_version uq_model_version_model_id_version; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model_version
    ADD CONSTRAINT uq_model_version_model_id_version UNIQUE (model_id, version);


--
-- Name: outbox uq_outbox_kind_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT uq_outbox_kind_key UNIQUE (kind, key);


--
-- Name: statistics uq_statistics_version_id_digest; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.statistics
    ADD CONSTRAINT uq_statistics_version_id_digest UNIQUE (version_id, digest);


--
-- Name: ix_alias_event_model_id_alias; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_alias_event_model_id_alias ON public.alias_event USING btree (model_id, alias);


--
-- Name: ix_attestation_subject_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_attestation_subject_digest ON public.attestation USING btree (subject_digest);


--
-- Name: ix_audit_event_action_sequence; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_audit_event_action_sequence ON public.audit_event USING btree (action, sequence);


--
-- Name: ix_audit_event_subject; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_audit_event_subject ON public.audit_event USING btree (subject);


--
-- Name: ix_delta_base_version_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_delta_base_version_id ON public.delta USING btree (base_version_id);


--
-- Name: ix_delta_blob_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_delta_blob_digest ON public.delta USING btree (blob_digest);


--
-- Name: ix_evaluation_recipe_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_evaluation_recipe_digest ON public.evaluation USING btree (recipe_digest);


--
-- Name: ix_evaluation_version_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_evaluation_version_id ON public.evaluation USING btree (version_id);


--
-- Name: ix_lineage_edge_parent_version_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_lineage_edge_parent_version_id ON public.lineage_edge USING btree (parent_version_id);


--
-- Name: ix_materialization_created_at_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_materialization_created_at_id ON public.materialization USING btree (created_at, id);


--
-- Name: ix_materialization_merge_version_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_materialization_merge_version_id ON public.materialization USING btree (merge_version_id);


--
-- Name: ix_materialization_output_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_materialization_output_digest ON public.materialization USING btree (output_digest);


--
-- Name: ix_materialization_recipe_digest_created_at_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_materialization_recipe_digest_created_at_id ON public.materialization USING btree (recipe_digest, created_at, id);


--
-- Name: ix_model_version_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_model_version_digest ON public.model_version USING btree (digest);


--
-- Name: ix_model_version_licence; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_model_version_licence ON public.model_version USING btree (licence);


--
-- Name: ix_outbox_pending; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_outbox_pending ON public.outbox USING btree (id) WHERE (delivered_at IS NULL);


--
-- Name: ix_recipe_input_version_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_recipe_input_version_id ON public.recipe_input USING btree (version_id);


--
-- Name: ix_statistics_blob_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_statistics_blob_digest ON public.statistics USING btree (blob_digest);


--
-- Name: ix_statistics_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_statistics_digest ON public.statistics USING btree (digest);


--
-- Name: ix_version_file_blob_digest; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ix_version_file_blob_digest ON public.version_file USING btree (blob_digest);


--
-- Name: audit_event audit_event_follows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_event_follows BEFORE INSERT ON public.audit_event FOR EACH ROW EXECUTE FUNCTION public.mergestore_follow();


--
-- Name: audit_event audit_event_keeps_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER audit_event_keeps_rows BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_event FOR EACH STATEMENT EXECUTE FUNCTION public.mergestore_refuse('audit events are append-only');


--
-- Name: delta delta_is_not_emptied; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER delta_is_not_emptied BEFORE TRUNCATE ON public.delta FOR EACH STATEMENT EXECUTE FUNCTION public.mergestore_refuse('versions are deleted one by one');


--
-- Name: delta delta_stays_while_kept; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER delta_stays_while_kept BEFORE DELETE ON public.delta FOR EACH ROW EXECUTE FUNCTION public.mergestore_keep('version_id');


--
-- Name: lineage_edge lineage_edge_is_not_emptied; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lineage_edge_is_not_emptied BEFORE TRUNCATE ON public.lineage_edge FOR EACH STATEMENT EXECUTE FUNCTION public.mergestore_refuse('versions are deleted one by one');


--
-- Name: lineage_edge lineage_edge_stays_while_kept; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER lineage_edge_stays_while_kept BEFORE DELETE ON public.lineage_edge FOR EACH ROW EXECUTE FUNCTION public.mergestore_keep('child_version_id');


--
-- Name: model_version model_version_keeps_content; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER model_version_keeps_content BEFORE UPDATE ON public.model_version FOR EACH ROW WHEN (((new.id <> old.id) OR (new.model_id <> old.model_id) OR (new.version <> old.version) OR (new.digest <> old.digest))) EXECUTE FUNCTION public.mergestore_refuse('the content of a version is immutable');


--
-- Name: pin pin_is_not_emptied; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER pin_is_not_emptied BEFORE TRUNCATE ON public.pin FOR EACH STATEMENT EXECUTE FUNCTION public.mergestore_refuse('versions are deleted one by one');


--
-- Name: recipe_input recipe_input_is_not_emptied; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER recipe_input_is_not_emptied BEFORE TRUNCATE ON public.recipe_input FOR EACH STATEMENT EXECUTE FUNCTION public.mergestore_refuse('versions are deleted one by one');


--
-- Name: recipe_input recipe_input_stays_while_kept; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER recipe_input_stays_while_kept BEFORE DELETE ON public.recipe_input FOR EACH ROW EXECUTE FUNCTION public.mergestore_keep('recipe_digest');


--
-- Name: tensor tensor_is_not_emptied; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER tensor_is_not_emptied BEFORE TRUNCATE ON public.tensor FOR EACH STATEMENT EXECUTE FUNCTION public.mergestore_refuse('versions are deleted one by one');


--
-- Name: tensor tensor_stays_while_kept; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER tensor_stays_while_kept BEFORE DELETE ON public.tensor FOR EACH ROW EXECUTE FUNCTION public.mergestore_keep('version_id');


--
-- Name: version_file version_file_is_not_emptied; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER version_file_is_not_emptied BEFORE TRUNCATE ON public.version_file FOR EACH STATEMENT EXECUTE FUNCTION public.mergestore_refuse('versions are deleted one by one');


--
-- Name: version_file version_file_stays_while_kept; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER version_file_stays_while_kept BEFORE DELETE ON public.version_file FOR EACH ROW EXECUTE FUNCTION public.mergestore_keep('version_id');


--
-- Name: alias_event fk_alias_event_model_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias_event
    ADD CONSTRAINT fk_alias_event_model_id FOREIGN KEY (model_id) REFERENCES public.model(id) ON DELETE RESTRICT;


--
-- Name: alias_event fk_alias_event_previous_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias_event
    ADD CONSTRAINT fk_alias_event_previous_version_id FOREIGN KEY (previous_version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: alias_event fk_alias_event_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias_event
    ADD CONSTRAINT fk_alias_event_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: alias fk_alias_model_id_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alias
    ADD CONSTRAINT fk_alias_model_id_version_id FOREIGN KEY (model_id, version_id) REFERENCES public.model_version(model_id, id) ON DELETE RESTRICT;


--
-- Name: delta fk_delta_base_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.delta
    ADD CONSTRAINT fk_delta_base_version_id FOREIGN KEY (base_version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: delta fk_delta_blob_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.delta
    ADD CONSTRAINT fk_delta_blob_digest FOREIGN KEY (blob_digest) REFERENCES public.blob(digest) ON DELETE RESTRICT;


--
-- Name: delta fk_delta_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.delta
    ADD CONSTRAINT fk_delta_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: evaluation fk_evaluation_recipe_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluation
    ADD CONSTRAINT fk_evaluation_recipe_digest FOREIGN KEY (recipe_digest) REFERENCES public.recipe(digest) ON DELETE RESTRICT;


--
-- Name: evaluation fk_evaluation_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.evaluation
    ADD CONSTRAINT fk_evaluation_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: lineage_edge fk_lineage_edge_child_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lineage_edge
    ADD CONSTRAINT fk_lineage_edge_child_version_id FOREIGN KEY (child_version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: lineage_edge fk_lineage_edge_parent_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.lineage_edge
    ADD CONSTRAINT fk_lineage_edge_parent_version_id FOREIGN KEY (parent_version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: materialization fk_materialization_merge_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.materialization
    ADD CONSTRAINT fk_materialization_merge_version_id FOREIGN KEY (merge_version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: materialization fk_materialization_recipe_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.materialization
    ADD CONSTRAINT fk_materialization_recipe_digest FOREIGN KEY (recipe_digest) REFERENCES public.recipe(digest) ON DELETE RESTRICT;


--
-- Name: model_version fk_model_version_model_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.model_version
    ADD CONSTRAINT fk_model_version_model_id FOREIGN KEY (model_id) REFERENCES public.model(id) ON DELETE RESTRICT;


--
-- Name: pin fk_pin_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.pin
    ADD CONSTRAINT fk_pin_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: recipe_input fk_recipe_input_recipe_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recipe_input
    ADD CONSTRAINT fk_recipe_input_recipe_digest FOREIGN KEY (recipe_digest) REFERENCES public.recipe(digest) ON DELETE RESTRICT;


--
-- Name: recipe_input fk_recipe_input_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.recipe_input
    ADD CONSTRAINT fk_recipe_input_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: statistics fk_statistics_blob_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.statistics
    ADD CONSTRAINT fk_statistics_blob_digest FOREIGN KEY (blob_digest) REFERENCES public.blob(digest) ON DELETE RESTRICT;


--
-- Name: statistics fk_statistics_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.statistics
    ADD CONSTRAINT fk_statistics_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: tensor fk_tensor_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tensor
    ADD CONSTRAINT fk_tensor_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- Name: tensor fk_tensor_version_id_file; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tensor
    ADD CONSTRAINT fk_tensor_version_id_file FOREIGN KEY (version_id, file) REFERENCES public.version_file(version_id, path) ON DELETE RESTRICT;


--
-- Name: version_file fk_version_file_blob_digest; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.version_file
    ADD CONSTRAINT fk_version_file_blob_digest FOREIGN KEY (blob_digest) REFERENCES public.blob(digest) ON DELETE RESTRICT;


--
-- Name: version_file fk_version_file_version_id; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.version_file
    ADD CONSTRAINT fk_version_file_version_id FOREIGN KEY (version_id) REFERENCES public.model_version(id) ON DELETE RESTRICT;


--
-- PostgreSQL database dump complete
--


