//! The closed lists of words that rows carry.

/// Declares an enum whose variants each have one word in the files.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($variant),+ }

        impl $name {
            pub(super) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

words!(
    /// What an interaction is.
    Kind {
        Login = "login",
        PageView = "page_view",
        CartAdd = "cart_add",
        NewsRead = "news_read",
        Comment = "comment",
        Referral = "referral",
        CallIn = "call_in",
        CallOut = "call_out",
        Demo = "demo",
        Quote = "quote",
        TicketOpened = "ticket_opened",
        TicketReplied = "ticket_replied",
        TicketResolved = "ticket_resolved",
        SurveyNps = "survey_nps",
        SurveyCsat = "survey_csat",
        MessageSent = "message_sent",
        MessageDelivered = "message_delivered",
        MessageOpened = "message_opened",
        MessageClicked = "message_clicked",
        MessageReplied = "message_replied",
        MessageBounced = "message_bounced",
        Subscribed = "subscribed",
        Unsubscribed = "unsubscribed",
        ProductUsed = "product_used",
        ForumPost = "forum_post",
        RewardGranted = "reward_granted",
        RewardRedeemed = "reward_redeemed",
        PointsEarned = "points_earned",
        PointsSpent = "points_spent",
        CourseStarted = "course_started",
        ArticleRead = "article_read",
        ChurnReason = "churn_reason",
        FeatureRequest = "feature_request",
        HoldoutAssigned = "holdout_assigned",
    }
);

words!(
    /// Where an order was placed or an interaction took place.
    Channel {
        Online = "online",
        App = "app",
        Store = "store",
        Phone = "phone",
        Marketplace = "marketplace",
        Email = "email",
        Sms = "sms",
        Push = "push",
    }
);

words!(
    /// How far an order is.
    Status {
        Pending = "pending",
        Paid = "paid",
        Shipped = "shipped",
        Delivered = "delivered",
        Completed = "completed",
        Cancelled = "cancelled",
        Refunded = "refunded",
    }
);

words!(
    /// What can be subscribed to.
    Plan {
        Basic = "basic",
        Plus = "plus",
        Pro = "pro",
    }
);

words!(
    /// Where a subscription stands.
    Standing {
        Active = "active",
        Cancelled = "cancelled",
        Expired = "expired",
        Changed = "changed",
    }
);

words!(
    /// What a ticket, comment or wish is about.
    Topic {
        Delivery = "delivery",
        Quality = "quality",
        Price = "price",
        Payment = "payment",
        Website = "website",
        MissingFeature = "missing_feature",
    }
);

words!(
    /// Why a customer says that he left.
    Reason {
        PoorService = "poor_service",
        SalesProcess = "sales_process",
        SalesError = "sales_error",
        Price = "price",
        Quality = "quality",
        Experience = "experience",
        MissingFeature = "missing_feature",
        Competitor = "competitor",
        NoNeed = "no_need",
        Other = "other",
    }
);

pub(super) const TOPICS: [Topic; 5] = [Topic::Delivery, Topic::Quality, Topic::Price, Topic::Payment, Topic::Website];

pub(super) const REASONS: [Reason; 10] = [
    Reason::PoorService,
    Reason::SalesProcess,
    Reason::SalesError,
    Reason::Price,
    Reason::Quality,
    Reason::Experience,
    Reason::MissingFeature,
    Reason::Competitor,
    Reason::NoNeed,
    Reason::Other,
];
