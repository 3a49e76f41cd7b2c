//! Prices of tokens, as OpenAI's pages of the models had them in November 2026. A model that is not here has no price.

use hooks_openai::TokenUsage;

/// Input of a text model above which a whole response costs more, in tokens.
const LONG: u64 = 272_000;

/// Prices of one kind of tokens, in billionths of a dollar each.
#[derive(Clone, Copy, Debug)]
struct Rates {
    input: u64,
    cached: u64,
    output: u64,
}

/// Prices of a model. One without audio is a text model.
#[derive(Clone, Copy, Debug)]
struct Prices {
    text: Rates,
    audio: Option<Rates>,
}

/// Dollars a million tokens, in thousandths: the same number as billionths of a dollar a token.
const fn rates(input: u64, cached: u64, output: u64) -> Rates {
    Rates { input, cached, output }
}

/// Models by the beginning of their names; the first that fits counts.
const MODELS: [(&str, Prices); 7] = [
    ("gpt-realtime-2.1-mini", Prices { text: rates(600, 60, 2_400), audio: Some(rates(10_000, 300, 20_000)) }),
    ("gpt-realtime-2", Prices { text: rates(4_000, 400, 24_000), audio: Some(rates(32_000, 400, 64_000)) }),
    ("gpt-realtime-1.5", Prices { text: rates(4_000, 400, 16_000), audio: Some(rates(32_000, 400, 64_000)) }),
    ("gpt-6-astra", Prices { text: rates(10_000, 1_000, 50_000), audio: None }),
    ("gpt-6-sol", Prices { text: rates(2_000, 200, 10_000), audio: None }),
    ("gpt-6-luna", Prices { text: rates(100, 10, 500), audio: None }),
    ("gpt-5.6-luna", Prices { text: rates(200, 20, 1_200), audio: None }),
];

/// Cost of a response in billionths of a dollar; `None` when the model has no price here.
pub(crate) fn cost(model: &str, tokens: &TokenUsage) -> Option<u64> {
    let (_, prices) = MODELS.iter().find(|(name, _)| is_of(model, name))?;
    let of = |count: u64, rate: u64| count.saturating_mul(rate);
    let Some(audio) = prices.audio else {
        let Rates { input, cached, output } = prices.text;
        let plain = tokens.input.saturating_sub(tokens.cached).saturating_sub(tokens.cache_write);
        // What is written into the cache costs a quarter more.
        let read = of(plain, input)
            .saturating_add(of(tokens.cached, cached))
            .saturating_add((of(tokens.cache_write, input) / 4).saturating_mul(5));
        let written = of(tokens.output, output);
        return Some(if tokens.input > LONG {
            read.saturating_mul(2).saturating_add((written / 2).saturating_mul(3))
        } else {
            read.saturating_add(written)
        });
    };
    let cached_text = tokens.cached.saturating_sub(tokens.cached_audio);
    let heard = tokens.input_audio.saturating_sub(tokens.cached_audio);
    let read = tokens.input.saturating_sub(tokens.input_audio).saturating_sub(cached_text);
    let written = tokens.output.saturating_sub(tokens.output_audio);
    Some(
        [
            of(read, prices.text.input),
            of(cached_text, prices.text.cached),
            of(written, prices.text.output),
            of(heard, audio.input),
            of(tokens.cached_audio, audio.cached),
            of(tokens.output_audio, audio.output),
        ]
        .into_iter()
        .fold(0, u64::saturating_add),
    )
}

/// Whether a model is of this name, or a snapshot or minor version of it. A smaller sibling is another model.
fn is_of(model: &str, name: &str) -> bool {
    let Some(rest) = model.strip_prefix(name) else { return false };
    rest.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(fill: impl FnOnce(&mut TokenUsage)) -> TokenUsage {
        let mut tokens = TokenUsage::default();
        fill(&mut tokens);
        tokens
    }

    #[test]
    fn a_response_of_speech_costs_its_audio_and_its_text() {
        let spoken = tokens(|tokens| {
            (tokens.input, tokens.input_text, tokens.input_audio) = (1_000, 600, 400);
            (tokens.cached, tokens.cached_audio) = (500, 100);
            (tokens.output, tokens.output_audio) = (200, 150);
        });
        // 200 text at 4, 400 cached at 0.40, 300 audio at 32, 100 cached at 0.40, 50 text at 24, 150 audio at 64.
        let expected = 200 * 4_000 + 400 * 400 + 300 * 32_000 + 100 * 400 + 50 * 24_000 + 150 * 64_000;
        assert_eq!(cost("gpt-realtime-2.1", &spoken), Some(expected));
        assert_eq!(cost("gpt-realtime-2", &spoken), Some(expected));
        assert!(cost("gpt-realtime-2.1-mini", &spoken) < Some(expected));
    }

    #[test]
    fn a_response_of_text_costs_its_cache_and_more_when_it_is_long() {
        let short = tokens(|tokens| {
            (tokens.input, tokens.cached, tokens.cache_write, tokens.output) = (1_000, 300, 200, 100);
        });
        let read = 500 * 100 + 300 * 10 + 200 * 125;
        assert_eq!(cost("gpt-6-luna-2026-09-22", &short), Some(read + 100 * 500));
        let long = tokens(|tokens| (tokens.input, tokens.output) = (300_000, 100));
        assert_eq!(cost("gpt-6-luna", &long), Some(300_000 * 200 + 100 * 750));
    }

    #[test]
    fn an_unknown_model_has_no_price_and_no_number_overflows() {
        for model in ["", "gpt-realtime", "gpt-realtime-2.1-maxi", "gpt-6-lunatic", "gpt-7-luna", "ft:gpt-6-luna"] {
            assert_eq!(cost(model, &TokenUsage::default()), None, "{model}");
        }
        let most = tokens(|tokens| (tokens.input, tokens.output) = (u64::MAX, u64::MAX));
        assert_eq!(cost("gpt-6-astra", &most), Some(u64::MAX));
    }
}
