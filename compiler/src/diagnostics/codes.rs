//! Every code, with its title. A code never changes its meaning; a new one takes the next number of
//! its stage. Its page is `pages/G0xxx.md`.

use super::Severity;

macro_rules! codes {
    ($($severity:ident $number:literal $name:ident $title:literal;)*) => {
        /// A diagnostic's code: `G01` syntax, `G02` names and imports, `G03` kinds and spaces,
        /// `G04` weights, `G05` stages and state, `G06` plan and cost, `G07` bindings and models,
        /// `G08` running.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All of them, in order.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// As users see it: `G0401`.
            pub fn number(self) -> &'static str {
                match self { $(Code::$name => $number,)* }
            }

            /// What it is about, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// Whether it is an error or a warning.
            pub fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)* }
            }

            /// Its page: why it is an error, a wrong program with its picture, a right one.
            pub fn page(self) -> &'static str {
                match self {
                    $(Code::$name => include_str!(concat!("pages/", $number, ".md")),)*
                }
            }

            /// The code of that number, in any case of letters.
            pub fn find(number: &str) -> Option<Code> {
                Code::ALL.iter().copied().find(|c| c.number().eq_ignore_ascii_case(number))
            }
        }
    };
}

codes! {
    Error "G0101" UnexpectedToken "something else was expected here";
    Error "G0102" UnclosedBracket "a bracket that is never closed, or closed by another";
    Error "G0103" TooDeep "brackets or operators nested too deeply";
    Error "G0104" FileTooLarge "a file over the size limit";
    Error "G0105" NotUtf8 "a file that is not UTF-8 text";
    Error "G0106" MisplacedDoc "a doc comment where nothing can be documented";
    Error "G0107" ChainedComparison "comparisons do not chain";
    Error "G0108" PositionalAfterNamed "a positional argument after a named one";
    Error "G0109" BadName "a name that the language does not allow";
    Error "G0110" BadNumber "a number written wrongly";
    Error "G0111" MisplacedElse "`else` in a `match` stands last and once";
    Error "G0112" UnclosedString "a string that is never closed";
    Error "G0113" ReservedWord "a reserved word used as a name";
    Error "G0114" BodyWithoutValue "a body that does not end in an expression";
    Error "G0115" LeadingMinus "a line that begins with a minus continues the one before it";
    Error "G0116" PipeIntoNoCall "a pipe into something that is not a call";

    Error "G0201" UnknownName "a name that nothing defines";
    Error "G0202" UnknownModule "a module or file that is not there";
    Error "G0203" ImportCycle "modules that import each other";
    Error "G0204" ImportOutsideRoot "an import outside the root file's folder";
    Error "G0205" DefinedTwice "a name defined twice";
    Error "G0206" UsedBeforeDefined "a value that is used before it exists, or that depends on itself";
    Error "G0207" Recursion "a function that calls itself";
    Error "G0208" UnknownArgument "an argument that the callee does not take";
    Error "G0209" MissingArgument "an argument that must be given";
    Error "G0210" ArgumentTwice "an argument given twice, or too many of them";
    Error "G0211" ResourceConflict "one name needed as two kinds of thing";
    Error "G0212" NotCallable "a call of something that cannot be called";
    Error "G0213" WhichGuide "no guide, or several, and none chosen";
    Error "G0214" Unreadable "a file that cannot be read";

    Error "G0301" WrongKind "a value of the wrong kind";
    Error "G0302" MixedSpaces "predictions of two spaces in one expression";
    Error "G0303" BranchesDisagree "branches of different kind or space";
    Error "G0304" MixedOrigins "predictions made at different points in one expression";
    Warning "G0305" NotPinned "an operation whose result depends on the model's own space";
    Error "G0306" OutcomeAsValue "arithmetic on a guide's outcome";
    Error "G0307" TupleShape "a tuple where it cannot stand, or of the wrong length";
    Error "G0308" MapAsCondition "a map where one truth value is needed";
    Error "G0309" NoConversion "a value that has no such conversion";
    Error "G0310" NoGradient "a gradient that does not exist";

    Error "G0401" WeightNotOne "a mix of predictions whose weights do not add up to 1";
    Error "G0402" WeightNotZero "a direction was needed and the weights do not add up to 0";
    Error "G0403" WeightUnfit "an operation that needs weight 0 or 1";
    Error "G0404" BranchWeights "branches of different weight";

    Error "G0501" ConstNeeded "a value that must be known before the run";
    Error "G0502" StepNeeded "a value that must be known in each step without a network";
    Error "G0503" PrevOfWhat "`prev` of something that is not a `let`, `x` or a name of the step";
    Error "G0504" StateKindOpen "a state whose kind nothing determines";
    Error "G0505" StateInits "one state with two initial values";
    Error "G0506" MatchOnSample "a `match` on a value that only the run knows";
    Error "G0507" TotalTooLong "a `total` with too many turns, or with ends that are not whole";
    Warning "G0508" StateInBranch "state inside a branch advances only when the branch is taken";
    Warning "G0509" ProgressCompared "`progress` compared literally, where a window was probably meant";
    Warning "G0510" ShadowedUnused "a `let` that hides another which was never used";

    Error "G0601" NotYet "something that the language has and this runtime does not do yet";
    Error "G0602" ConversionUndefined "a conversion that a step's noise makes impossible";
    Error "G0603" TooManyNodes "a rule that inlines into too many operations";
    Error "G0604" UnknownParameter "a parameter that the guide does not have";
    Error "G0605" BadParameter "a parameter's value of the wrong kind";
    Error "G0606" SolverCannot "a solver that cannot do what the guide returns";
    Error "G0607" NoSuchLayers "layers that the model does not have";
    Error "G0608" StepsOutOfRange "a number of steps out of range";
    Error "G0609" UnknownSampler "a sampler or spacing that is not known";
    Error "G0610" NotWhole "a number that must be whole or in a range";
    Error "G0611" NotFlow "a rule for flow models on a model of another kind";
    Error "G0612" DividedByNothing "a mix of predictions divided by weights that add up to nothing";
    Warning "G0613" RowsUnread "a table with rows that no step reads";

    Error "G0701" ModelNotFound "a model that is not found";
    Error "G0702" ModelIncomplete "a model folder without a part that it needs";
    Error "G0703" WeightsDamaged "a weights file that is cut short or damaged";
    Error "G0704" TensorShape "a tensor of the wrong shape";
    Error "G0705" Pickle "a pickle, which could run code";
    Error "G0706" TensorMissing "a tensor that the weights lack";
    Error "G0707" NotBound "an input or model that is not bound";
    Error "G0708" BadBinding "a binding that does not fit";
    Error "G0709" BadConfig "a config file that this runtime cannot use";
    Error "G0710" BadTokenizer "a tokenizer that cannot be used";
    Error "G0711" BadSize "a picture size that the model cannot make";
    Error "G0712" BadImport "a file of another tool that cannot be imported";
    Warning "G0713" ConfigIgnored "a setting of a config that is not honoured";
    Error "G0714" BadTestLine "a line for tests that cannot be used";

    Error "G0801" LabelMissing "a recording without a prediction that the rule asks for";
    Error "G0802" NotFinite "a NaN or infinity in a result";
    Error "G0803" OutputUnwritable "an output that cannot be written";
    Error "G0804" DeviceFailed "a device that is not there or failed";
    Error "G0805" OutOfMemory "more memory than the machine has";
    Error "G0806" BadRecording "a recording that cannot be used";
    Error "G0807" BadPlan "a saved plan that cannot be used";
    Error "G0808" ExampleDiffers "an example that does not do what it says";
    Warning "G0809" OtherRule "a recording of another rule's run";
    Error "G0810" BadTrace "a trace that cannot be drawn";
}
